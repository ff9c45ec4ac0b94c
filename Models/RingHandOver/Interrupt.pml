/* The interrupt of a virtualized NIC, as the OS hears of it (InterruptMimic and NICDriver in Sources/AllyRings, paper
 * section 4.3): a cause register whose shadow clears when it is read, a mask, an IPI for each rise of what is caused and not
 * masked. The NIC is what completes frames; the rings themselves are in Receive.pml and Transmit.pml.
 *
 * What is chosen when the model is built: a bug, one of those that scripts/check-models.sh lists; each must be found.
 */

#define MOST 2                           /* frames that may be completed and not taken by the OS */

byte completed;                          /* frames in the OS queue, completed */
byte pending;                            /* frames in the DPI queue, completed */
bit nicInterrupt, osInterrupt, shadowCause, accessIPI;
mtype = { CAUSE_READ, MASK };
chan accesses = [2] of { mtype, bit };   /* AccessLog */
bit isQuiet;

active proctype NIC() {
end:
  do
  :: atomic { pending + completed < MOST -> pending++ }
progress_received:
     nicInterrupt = 1
  /* Not while it is out of descriptors: a NIC that never gets any stops the whole model, and that is found. */
  :: atomic { pending + completed < MOST -> isQuiet = 1; break }
  od
}

active proctype DPI() {
  bit cause, mask, isAsserted, value, published;
  mtype what;
  byte count;
end:
  do
  :: accessIPI || nicInterrupt ->
     nicInterrupt = 0;
     if
     :: accessIPI ->
        accessIPI = 0;
        /* DPICore.handleAccesses: at most as many as the log holds. */
        do
        :: count < 2 && len(accesses) > 0 ->
           accesses ? what, value;
           if
           :: what == CAUSE_READ ->
              /* InterruptMimic.acknowledge(remaining:): what the shadow holds the OS has not seen. */
#ifdef BUG_CAUSE_FORGOTTEN
              cause = 0;
#else
              cause = shadowCause;
#endif
#ifndef BUG_STAYS_ASSERTED
              isAsserted = 0;
#endif
              skip
           :: what == MASK ->
              mask = value;
#ifndef BUG_STAYS_ASSERTED
              if :: !(cause && mask) -> isAsserted = 0 :: else fi;
#endif
              skip
           fi;
           count++
        :: else -> break
        od;
        count = 0
     :: else
     fi;
     /* The queue is served, and NICDriver.notePublished raises the cause: here, and in the register that the OS reads. */
     do
     :: atomic { pending > 0 -> pending--; completed++ } published = 1
     :: else -> break
     od;
#ifdef BUG_INTERRUPT_BEFORE_CAUSE
     if :: published && mask && !isAsserted -> isAsserted = 1; osInterrupt = 1 :: else fi;
     if :: published -> cause = 1; shadowCause = 1 :: else fi;
#else
     if :: published -> cause = 1; shadowCause = 1 :: else fi;
     /* InterruptMimic.takeInterrupt: once for each rise. */
     if :: cause && mask && !isAsserted -> isAsserted = 1; osInterrupt = 1 :: else fi;
#endif
     published = 0
  od
}

/* The handler reads the cause register and masks interrupts; the poll takes frames until there is none, and unmasks (NAPI of
 * Linux). A handler that finds no cause says that the interrupt was another device's. */
active proctype OS() {
  bit hasCause;
  accesses ! MASK, 1; accessIPI = 1;
end:
  do
  :: osInterrupt ->
     osInterrupt = 0;
     /* The shadow clears when it is read, and the read is logged, in one (RemappingTable.load). */
     atomic { nfull(accesses) -> hasCause = shadowCause; shadowCause = 0; accesses ! CAUSE_READ, 0 }
     accessIPI = 1;
     if
     :: hasCause ->
        accesses ! MASK, 0; accessIPI = 1;
        do :: atomic { completed > 0 -> completed-- } :: completed == 0 -> break od;
        accesses ! MASK, 1; accessIPI = 1
     :: else
     fi
  od
}

/* When nothing can move any more, the wire is quiet and the OS has taken every frame. */
active proctype Monitor() {
end:
  timeout -> assert(isQuiet && completed == 0 && pending == 0)
}
