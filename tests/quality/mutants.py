"""All mutants by name: the bugs that the conformance suite is proven to notice."""

from __future__ import annotations

import checkpoint_mutants
import claim_mutants
import exec_mutants
import hook_mutants
import limit_mutants
import mask_mutants
import mount_mutants
import museum_mutants
import nesting_mutants
import network_mutants
import parent_mutants
import pause_mutants
import plan_mutants
import rootless_mutants
import security_mutants
import terminal_mutants
from planting import Mutant

TABLE = (
    *checkpoint_mutants.TABLE,
    *claim_mutants.TABLE,
    *plan_mutants.TABLE,
    *parent_mutants.TABLE,
    *mask_mutants.TABLE,
    *mount_mutants.TABLE,
    *network_mutants.TABLE,
    *pause_mutants.TABLE,
    *exec_mutants.TABLE,
    *limit_mutants.TABLE,
    *rootless_mutants.TABLE,
    *nesting_mutants.TABLE,
    *hook_mutants.TABLE,
    *terminal_mutants.TABLE,
    *security_mutants.TABLE,
    *museum_mutants.TABLE,
)
MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in TABLE}
