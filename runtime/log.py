"""Where the runtime reports what is not an error.  The command line has its own subclass."""

from __future__ import annotations


class Log:
    """Warnings and decisions go to the logger ``seatrial.runtime`` of the standard library, imported when needed."""

    def warning(self, message: str) -> None:
        """Something that does not change the outcome of an operation."""
        import logging

        logging.getLogger("seatrial.runtime").warning("%s", message)

    def debug(self, message: str) -> None:
        """A decision and its reason."""
        import sys

        if "logging" in sys.modules:
            import logging

            logging.getLogger("seatrial.runtime").debug("%s", message)
