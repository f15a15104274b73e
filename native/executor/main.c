#include "operations.h"
int main(void) { return PLAN_VERSION; }
