/* mutant.h: planted bugs for the simulator's own test. MUTANT(n) is false, except in the build that tests/sim makes for this;
 * there --mutant chooses one of them. Their names are in tests/sim/CMakeLists.txt. */
#ifndef CORE_MUTANT_H
#define CORE_MUTANT_H

#ifdef BRIDGEPOOL_MUTANTS
extern int mutant_planted;
#define MUTANT(n) (mutant_planted == (n))
#else
#define MUTANT(n) 0
#endif

#endif
