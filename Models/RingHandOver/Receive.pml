/* The receive hand-over of a virtualized queue (paper section 4.3, Figure 4): OS, DPI core and NIC as three processes that
 * share descriptors, buffers and registers, one access at a time. Sources/AllyRings is what is modelled; each step names
 * the function that it stands for. README.md beside this file says what is left out.
 *
 * What is chosen when the model is built:
 *   COPY      frames are received into DPI memory and copied (PacketProtection.copyToDPIMemory); else in place
 *   HOSTILE   the OS writes whatever it likes wherever it can; else it is a stock driver that polls (Interrupt.pml has
 *             the interrupts)
 *   RESET     the stock driver takes its queue down and sets it up again, once
 *   a bug     one of those that scripts/check-models.sh lists; each must be found
 */

#ifndef SLOTS
#define SLOTS 3                          /* of either queue; at most SLOTS - 1 are in use */
#endif
#ifndef LOG
#define LOG 2                            /* redirected accesses that may wait */
#endif
#define NEXT(index) ((index + 1) % SLOTS)
#define DISTANCE(first, last) ((last + SLOTS - first) % SLOTS)

/* Addresses of buffers: the OS's, one for each slot; then those in DPI memory. */
#define OS_BUFFERS SLOTS
#define COPIES OS_BUFFERS                /* those that the NIC fills with COPY */
#define REFUSED (COPIES + SLOTS)         /* takes the place of one that the OS must not have */
#define SECRET (REFUSED + 1)             /* anything else in DPI memory */
#define ADDRESSES (SECRET + 1)

/* What a completed descriptor says, apart from the bit that it is completed. */
#define GOOD 100
#define DAMAGED 101

/* A frame in a buffer: its colour, and whether the inspector drops it. 0 is no frame. A frame that nobody has inspected
 * may be one to be dropped, so to see none of these is to see nothing uninspected.
 *
 * Of all frames that ever come, any one may be red, and any one after it blue. As the ring cannot know colours, frames come
 * in order, each once, if red comes once and before blue, which comes once. */
#define WHITE 0
#define RED 1
#define BLUE 2
#define FRAME(colour, isBad) (1 + 2 * (colour) + (isBad))
#define COLOUR(content) (((content) - 1) / 2)
#define IS_BAD(content) ((content) > 0 && ((content) - 1) % 2)

/* OS memory: the OS queue, a descriptor being two words, and the buffers. */
byte osWord[SLOTS];
bit osDone[SLOTS];
byte buffer[ADDRESSES];
/* DPI memory: the DPI queue. */
byte dpiWord[SLOTS];
bit dpiDone[SLOTS];
/* The NIC's registers. */
byte nicHead, nicTail;
bit nicRuns, nicIsBusy, nicInterrupt;
/* Accesses of the OS to redirected registers (AccessLog), and the IPI that tells of them. */
mtype = { TAIL, ENABLE };
chan accesses = [LOG] of { mtype, byte };
bit accessIPI;

/* What only the properties look at. */
byte lastArrived, lastSeen;              /* the colours of frames that are not to be dropped */
bit hasMissed;                           /* the red frame is to be dropped, or was lost in a reset */
bit isOffered[SLOTS];                    /* slots of the DPI queue that the NIC may fill */
bit isFreed;                             /* the OS has given its buffers to somebody else */
bit isQuiet;                             /* no more frames will come */

/* --- The NIC ------------------------------------------------------------------------------------------------------ */

active proctype NIC() {
  byte place, colour, last;
  bit bad;
end:
  do
#ifndef HOSTILE
  /* Not while it is out of descriptors: a NIC that never gets any stops the whole model, and that is found. */
  :: atomic { nicRuns && nicHead != nicTail -> isQuiet = 1; break }
#endif
  :: atomic { nicRuns && nicHead != nicTail -> nicIsBusy = 1; assert(isOffered[nicHead]); place = dpiWord[nicHead] }
     /* DMA. The IOMMU would let the NIC write to DPI memory, so Ally has to see to it that it does not. */
     atomic {
       assert(place < SECRET);
       assert(!isFreed || place >= OS_BUFFERS);
       if :: bad = 0 :: bad = 1 fi;
#ifndef HOSTILE
       if :: colour = WHITE :: last < BLUE -> last++; colour = last fi;
#endif
       if
       :: colour != WHITE && !bad -> lastArrived = colour
       :: colour == RED && bad -> hasMissed = 1
       :: else
       fi;
       buffer[place] = FRAME(colour, bad);
       place = 0; bad = 0; colour = 0
     }
     dpiWord[nicHead] = GOOD;
     atomic { dpiDone[nicHead] = 1; isOffered[nicHead] = 0; nicHead = NEXT(nicHead) }
progress_received:
     atomic { nicInterrupt = 1; nicIsBusy = 0 }
  od
}

/* --- The DPI core ------------------------------------------------------------------------------------------------- */

bit dpiIsBusy;

/* DescriptorSlots.store: the ownership word last. */
inline storeOS(slot, word) {
  assert(word != REFUSED && word != SECRET);
#ifdef BUG_DONE_FIRST
  osDone[slot] = 1;
  osWord[slot] = word
#else
  osWord[slot] = word;
  osDone[slot] = 1
#endif
}

inline offer(slot, place) {
  dpiWord[slot] = place;
#ifndef BUG_STALE_DONE
  dpiDone[slot] = 0;
#endif
  isOffered[slot] = 1
}

/* Nothing reads what a slot held before; whoever does it nevertheless finds nothing. */
inline forget(slot) {
  d_step { word = 0; address[slot] = 0; dpiWord[slot] = 0; buffer[COPIES + slot] = 0 }
}

/* DescriptorQueue.moveTail(to:). */
inline moveTail(value) {
#ifdef BUG_TAIL_UNCHECKED
  osTail = value % SLOTS
#else
  if
  :: value < SLOTS && DISTANCE(osHead, value) >= DISTANCE(osHead, osTail) -> osTail = value
  :: else
  fi
#endif
}

/* RingVirtualizer.restartReceive and ReceiveVirtualizer.start. */
inline restart(isEnabled) {
#ifndef BUG_NIC_NOT_STOPPED
  /* NICDriver.stopReceive: the NIC then touches neither queue nor buffers. */
  nicRuns = 0;
  !nicIsBusy;
#endif
  atomic {
    isRunning = isEnabled;
    osHead = 0; osTail = 0; copied = 0; dpiHead = 0; dpiTail = 0
  }
  if
  :: isEnabled ->
#ifdef COPY
     slot = 0;
     do :: slot < SLOTS -> offer(slot, COPIES + slot); slot++ :: else -> break od;
     slot = 0;
#ifdef BUG_NO_FREE_SLOT
     dpiTail = 0;
#else
     dpiTail = SLOTS - 1;
#endif
#endif
     nicHead = 0;
     nicTail = dpiTail;
     nicRuns = 1
  :: else
  fi
}

/* DPICore.handleAccesses. At most as many as the log holds. */
inline handleAccesses() {
  index = 0;
  do
  :: index < LOG && len(accesses) > 0 ->
     accesses ? what, value;
     if
     :: what == TAIL -> if :: isRunning -> moveTail(value) :: else fi
     :: what == ENABLE -> restart(value)
     fi;
     index++
  :: else -> break
  od
}

#ifndef COPY

/* ReceiveVirtualizer.copyPosted: Figure 4(b). */
inline copyPosted() {
  do
  :: copied != osTail ->
#ifdef BUG_TAIL_BEFORE_COPY
     nicTail = NEXT(copied);
#endif
     /* The one load of what the OS has written; the address is kept. */
     address[copied] = osWord[copied];
#ifndef BUG_ADDRESS_UNCHECKED
     if :: address[copied] >= OS_BUFFERS -> address[copied] = REFUSED :: else fi;
#endif
     offer(copied, address[copied]);
     copied = NEXT(copied)
  :: else -> break
  od;
  dpiTail = copied
}

/* ReceiveVirtualizer.publishCompleted: Figure 4(c) and (d). */
inline publishCompleted() {
  do
  :: dpiHead != dpiTail ->
#ifdef BUG_WORD_BEFORE_DONE
     word = dpiWord[dpiHead];
     if :: !dpiDone[dpiHead] -> break :: else fi;
#else
     if :: !dpiDone[dpiHead] -> break :: else fi;
     word = dpiWord[dpiHead];
#endif
     assert(word == GOOD);
#ifdef BUG_PUBLISH_BEFORE_VERDICT
     storeOS(dpiHead, GOOD);
#endif
     if
     :: address[dpiHead] == REFUSED ->
        /* The OS gets its own address back in that descriptor, which is none of ours. */
#ifdef BUG_REFUSED_PUBLISHED
        word = REFUSED;
#else
        word = DAMAGED;
#endif
     :: address[dpiHead] != REFUSED && IS_BAD(buffer[address[dpiHead]]) ->
        /* Verdict: drop. */
#ifndef BUG_DROP_NOT_SCRUBBED
        buffer[address[dpiHead]] = 0;
#endif
#ifndef BUG_DROP_NOT_MARKED
        word = DAMAGED
#endif
     :: else
     fi;
#ifndef BUG_PUBLISH_BEFORE_VERDICT
     storeOS(dpiHead, word);
#endif
     forget(dpiHead);
     dpiHead = NEXT(dpiHead);
     osHead = dpiHead
  :: else -> break
  od
}

#else

inline copyPosted() { skip }

/* ReceiveVirtualizer.publishCopies. */
inline publishCompleted() {
  do
  :: dpiHead != dpiTail && dpiDone[dpiHead] && osHead != osTail ->
     /* prepareOSSlots: the one load of what the OS has written. */
     address[osHead] = osWord[osHead];
     if
#ifndef BUG_ADDRESS_UNCHECKED
     :: address[osHead] >= OS_BUFFERS ->
        /* All that the OS can be told. */
        storeOS(osHead, DAMAGED);
        osHead = NEXT(osHead);
        goto nextFrame
#endif
     :: else
     fi;
#ifdef BUG_ADDRESS_LOADED_TWICE
     address[osHead] = osWord[osHead];
#endif
     assert(address[osHead] < OS_BUFFERS);
#ifdef BUG_COPY_BEFORE_VERDICT
     buffer[address[osHead]] = buffer[COPIES + dpiHead];
     if
     :: IS_BAD(buffer[address[osHead]]) -> buffer[address[osHead]] = 0
     :: else -> storeOS(osHead, GOOD); osHead = NEXT(osHead)
     fi;
#else
     if
     :: IS_BAD(buffer[COPIES + dpiHead]) -> skip      /* Verdict: drop. It leaves no trace. */
     :: else ->
        /* copyOut. */
        buffer[address[osHead]] = buffer[COPIES + dpiHead];
        storeOS(osHead, GOOD);
        osHead = NEXT(osHead)
     fi;
#endif
     /* recycle: the slot that was kept free is offered; the one just emptied takes its place. */
     offer(dpiTail, COPIES + dpiTail);
     dpiTail = NEXT(dpiTail);
     forget(dpiHead);
     dpiHead = NEXT(dpiHead);
nextFrame: skip
  :: else -> break
  od
}

#endif

active proctype DPI() {
  /* QueueState and RingMemory. */
  byte osHead, osTail, copied, dpiHead, dpiTail, address[SLOTS];
  bit isRunning;
  byte index, slot, value, word;
  mtype what;
end:
  do
  :: atomic { accessIPI || nicInterrupt -> dpiIsBusy = 1 }
     /* DPICore.takeInterrupt, handleAccesses. An interrupt is acknowledged before what it tells of is looked at. */
#ifndef BUG_ACKNOWLEDGED_LAST
     nicInterrupt = 0;
#endif
     if :: accessIPI -> accessIPI = 0; handleAccesses() :: else fi;
     /* RingVirtualizer.serviceReceive. */
     copyPosted();
     publishCompleted();
     nicTail = dpiTail;
#ifdef BUG_ACKNOWLEDGED_LAST
     nicInterrupt = 0;
#endif
     d_step { index = 0; value = 0; word = 0; what = 0; dpiIsBusy = 0 }
  od
}

/* --- The OS ------------------------------------------------------------------------------------------------------- */

/* A store to a redirected register: logged, then told. A log that is full makes the OS core wait (AccessOutcome.waits). */
inline writeRegister(register, content) {
#ifdef BUG_IPI_BEFORE_LOG
  accessIPI = 1;
  accesses ! register, content
#else
  accesses ! register, content;
  accessIPI = 1
#endif
}

#ifdef HOSTILE

/* Everything that an OS core can write and read, in any order. */
active proctype OS() {
  byte slot;
  writeRegister(ENABLE, 1);
end:
  do
  :: atomic {
       slot = 0;
       do :: slot < SLOTS - 1 -> slot++ :: break od;
       if
       :: osWord[slot] = slot
       :: osWord[slot] = SECRET
       :: nfull(accesses) -> accesses ! TAIL, slot; accessIPI = 1
       :: nfull(accesses) -> accesses ! TAIL, SLOTS; accessIPI = 1
#ifdef COPY
       /* In place the NIC writes to these buffers before anybody has inspected what it writes; there a frame is visible by
        * its descriptor alone. */
       :: assert(!IS_BAD(buffer[slot]))
#endif
       fi;
       slot = 0
     }
  od
}

#else

/* A stock driver: takes completed frames and gives their buffers back. */
active proctype OS() {
  byte slot, toClean, word;
#ifdef RESET
  bit hasReset;
#endif
setUp:
  isFreed = 0;
  d_step {
    slot = 0;
    do :: slot < SLOTS -> osWord[slot] = slot; osDone[slot] = 0; buffer[slot] = 0; slot++ :: else -> break od;
    slot = 0; toClean = 0
  }
  writeRegister(ENABLE, 1);
  writeRegister(TAIL, SLOTS - 1);
end:
  do
  :: osDone[toClean] ->
     word = osWord[toClean];
     d_step {
       if
       :: word == DAMAGED -> assert(buffer[toClean] == 0)
       :: else ->
          assert(word == GOOD && buffer[toClean] > 0 && !IS_BAD(buffer[toClean]));
          if
          :: COLOUR(buffer[toClean]) != WHITE ->
             assert(COLOUR(buffer[toClean]) == lastSeen + 1 || hasMissed && lastSeen == WHITE);
             lastSeen = COLOUR(buffer[toClean])
          :: else
          fi
       fi;
       /* Nobody looks at the slot until the tail has moved over it. */
       word = 0; buffer[toClean] = 0; osWord[toClean] = toClean; osDone[toClean] = 0;
       toClean = NEXT(toClean)
     }
     if
     :: writeRegister(TAIL, (toClean + SLOTS - 1) % SLOTS)
     /* Several slots at once. */
     :: osDone[toClean]
     fi
#ifdef RESET
  :: !hasReset ->
     hasReset = 1;
     writeRegister(ENABLE, 0);
     /* Drivers sleep here for as long as the datasheet says that a NIC takes. */
     empty(accesses) && !accessIPI && !dpiIsBusy;
     /* Frames that were under way are lost. */
     d_step {
       if :: lastSeen == WHITE && lastArrived > WHITE -> hasMissed = 1 :: else fi;
       isFreed = 1; lastSeen = lastArrived
     }
     goto setUp
#endif
  od
}

/* When nothing can move any more, no frame is left behind: the wire is quiet, and the OS has seen all. */
active proctype Monitor() {
end:
  timeout ->
  assert(isQuiet && lastSeen == lastArrived)
}

#endif
