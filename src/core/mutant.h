/* mutant.h: planted bugs for the simulator's own test. MUTANT(n) is false unless the room was built with -DBRIDGEPOOL_MUTANT=n. */
#ifndef CORE_MUTANT_H
#define CORE_MUTANT_H

#ifdef BRIDGEPOOL_MUTANT
#define MUTANT(n) (BRIDGEPOOL_MUTANT == (n))
#else
#define MUTANT(n) 0
#endif

#endif
