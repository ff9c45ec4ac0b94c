/* The transmit hand-over of a virtualized queue (paper section 4.3): OS, DPI core and NIC as three processes that share
 * descriptors, buffers and registers, one access at a time. Sources/AllyRings is what is modelled; each step names the
 * function that it stands for. README.md beside this file says what is left out.
 *
 * What is chosen when the model is built:
 *   COPY      frames are copied to DPI memory before they are inspected (PacketProtection.copyToDPIMemory); else in place
 *   REWRITE   the OS changes buffers and descriptors that it has posted, at any time
 *   HEAD      the OS never asks for a report and reads the head register instead (RS clear, TDH)
 *   a bug     one of those that scripts/check-models.sh lists; each must be found
 */

#ifndef SLOTS
#define SLOTS 3                          /* of either queue; at most SLOTS - 1 are in use */
#endif
#define NEXT(index) ((index + 1) % SLOTS)
#define BACK(index) ((index + SLOTS - 1) % SLOTS)
#define DISTANCE(first, last) ((last + SLOTS - first) % SLOTS)

/* Addresses of buffers: the OS's, one for each slot; one more of the OS's, with a frame that the inspector never saw; and
 * copies in DPI memory. */
#define OTHER SLOTS
#define COPIES (SLOTS + 1)
#define ADDRESSES (COPIES + SLOTS)

/* A part of a frame in a buffer: its colour, and whether the inspector drops the frame; see Receive.pml. */
#define WHITE 0
#define RED 1
#define BLUE 2
#define PART(colour, isBad) (1 + 2 * (colour) + (isBad))
#define COLOUR(content) (((content) - 1) / 2)
#define IS_BAD(content) ((content) > 0 && ((content) - 1) % 2)

/* OS memory: a descriptor is an address, flags, and the bit that it is completed, which is stored with the flags. */
byte osAddress[SLOTS];
bit osEnds[SLOTS], osReports[SLOTS], osDone[SLOTS];
byte buffer[ADDRESSES];
/* DPI memory: the DPI queue. */
byte dpiAddress[SLOTS];
bit dpiEnds[SLOTS], dpiReports[SLOTS], dpiDone[SLOTS];
/* The NIC's registers. */
byte nicTail;
bit nicInterrupt;
/* The tail register as the OS has written it, the IPI that tells of it, and the shadow of the head register. */
byte tailRegister;
bit accessIPI;
byte shadowHead;

/* What only the properties look at. */
byte lastPosted, lastSent;               /* the colours of frames that are not to be dropped */
bit hasDropped;                          /* the red frame is to be dropped */
bit isOffered[SLOTS];                    /* slots of the DPI queue that the NIC may fetch */
bit isQuiet;                             /* the OS posts no more */
byte unfinished;                         /* descriptors that the OS has posted and not got back */

/* --- The NIC ------------------------------------------------------------------------------------------------------ */

active proctype NIC() {
  byte head, place, content, frame;
end:
  do
  :: atomic { head != nicTail -> assert(isOffered[head]); place = dpiAddress[head] }
     atomic {
       /* DMA. */
       content = buffer[place];
       /* No uninspected byte: what is to be dropped does not leave. */
       assert(content > 0 && !IS_BAD(content));
       /* Parts of one frame follow each other. */
       assert(frame == 0 || frame == content);
       if
       :: dpiEnds[head] ->
          if
          :: COLOUR(content) != WHITE ->
             assert(COLOUR(content) == lastSent + 1 || hasDropped && lastSent == WHITE);
             lastSent = COLOUR(content)
          :: else
          fi;
          frame = 0
       :: else -> frame = content
       fi;
       place = 0; content = 0
     }
     /* NICs write back in order, and only what asks for it. */
     atomic {
       isOffered[head] = 0;
       if :: dpiReports[head] -> dpiDone[head] = 1 :: else fi;
       head = NEXT(head)
     }
progress_sent:
     nicInterrupt = 1
  od
}

/* --- The DPI core ------------------------------------------------------------------------------------------------- */


/* TransmitVirtualizer.copyPosted, stageUncommon. Segments are written behind the tail that the NIC knows; each is loaded
 * once. At the end of the frame the tail moves over them, or they are forgotten. */
inline copyPosted() {
  do
  :: taken != osTail ->
     staged = DISTANCE(start, taken);
     slot = (tail + staged) % SLOTS;
     dpiAddress[slot] = osAddress[taken];
     ends = osEnds[taken];
     d_step {
       dpiEnds[slot] = ends; dpiReports[slot] = osReports[taken];
       dpiDone[slot] = 0;
       isDropped[taken] = 0; isForced[taken] = 0
     }
#ifdef BUG_TAIL_BEFORE_VERDICT
     isOffered[slot] = 1;
     nicTail = NEXT(slot);
#endif
     taken = NEXT(taken);
     if
     :: ends ->
        /* Gathered, and copied with COPY; what is inspected is what is gathered. */
        isBad = 0;
        slot = tail;
        do
        :: slot != (tail + DISTANCE(start, taken)) % SLOTS ->
           content = buffer[dpiAddress[slot]];
           isBad = isBad || IS_BAD(content);
#ifdef COPY
           buffer[COPIES + slot] = content;
#ifndef BUG_COPY_NOT_SENT
           dpiAddress[slot] = COPIES + slot;
#endif
#endif
           slot = NEXT(slot)
        :: else -> break
        od;
#ifdef BUG_DESCRIPTOR_LOADED_TWICE
        slot = tail;
        dpiAddress[slot] = osAddress[start];
#endif
        if
        :: isBad ->
           /* forgetStaged. */
           atomic {
             slot = start;
             do
             :: slot != taken ->
#ifdef BUG_DROP_COMPLETES_AT_ONCE
                osDone[slot] = osReports[slot];
#endif
                isDropped[slot] = 1; slot = NEXT(slot)
             :: else -> break
             od
           }
        :: else ->
           atomic {
             do
             :: start != taken -> isOffered[tail] = 1; tail = NEXT(tail); start = NEXT(start)
             :: else -> break
             od
           }
        fi;
        start = taken
     :: else
     fi;
     atomic { slot = 0; staged = 0; ends = 0; isBad = 0; content = 0 }
  :: else -> break
  od;
  /* finish: requestReport, then the tail in one store. Nothing after it is looked at by the NIC. */
  if
#ifndef BUG_NO_REPORT
  :: tail != nicTail && !dpiReports[BACK(tail)] ->
     dpiReports[BACK(tail)] = 1;
     slot = BACK(start);
     do :: isDropped[slot] -> slot = BACK(slot) :: else -> break od;
     atomic { isForced[slot] = 1; slot = 0 }
#endif
  :: else
  fi
}

/* TransmitVirtualizer.completeTransmitted, completeUncommon: first how far the NIC is, then completions in order. */
inline completeTransmitted() {
  atomic { slot = osHead; nicSlot = nicHead; done = osHead }
  do
  :: slot != start ->
     if
     :: isDropped[slot] ->
        if :: done == slot -> done = NEXT(slot) :: else fi
     :: else ->
        if :: nicSlot == tail -> break :: else fi;
        if
        :: dpiReports[nicSlot] -> if :: dpiDone[nicSlot] -> done = NEXT(slot) :: else -> break fi
        :: else
        fi;
        nicSlot = NEXT(nicSlot)
     fi;
     slot = NEXT(slot)
  :: else -> break
  od;
  do
  :: osHead != done ->
     if
     :: isDropped[osHead] -> if :: osReports[osHead] -> osDone[osHead] = 1 :: else fi
     :: else ->
        if :: dpiReports[nicHead] && !isForced[osHead] -> osDone[osHead] = 1 :: else fi;
        /* Nothing reads what a slot held before; whoever does it nevertheless finds nothing. */
        d_step {
          dpiAddress[nicHead] = 0; dpiEnds[nicHead] = 0; dpiReports[nicHead] = 0; dpiDone[nicHead] = 0;
          buffer[COPIES + nicHead] = 0;
          nicHead = NEXT(nicHead)
        }
     fi;
#ifdef BUG_HEAD_FIRST
     shadowHead = NEXT(NEXT(osHead));
#endif
     atomic { isDropped[osHead] = 0; isForced[osHead] = 0; osHead = NEXT(osHead) }
  :: else -> break
  od;
  atomic { slot = 0; nicSlot = 0; done = 0 }
}

active proctype DPI() {
  /* QueueState: done up to osHead, whole frames up to start, loaded up to taken, posted up to osTail. */
  byte osHead, osTail, taken, start, tail, nicHead;
  /* SlotDisposition of slots of the OS queue. */
  bit isDropped[SLOTS], isForced[SLOTS];
  byte slot, nicSlot, staged, done, content;
  bit ends, isBad;
end:
  do
  :: accessIPI || nicInterrupt ->
#ifndef BUG_ACKNOWLEDGED_LAST
     nicInterrupt = 0;
#endif
     if
     :: accessIPI ->
        accessIPI = 0;
        slot = tailRegister;
        /* DescriptorQueue.moveTail(to:). */
        if :: DISTANCE(osHead, slot) >= DISTANCE(osHead, osTail) -> osTail = slot :: else fi;
        slot = 0
     :: else
     fi;
     /* RingVirtualizer.serviceTransmit. */
     copyPosted();
     nicTail = tail;
     completeTransmitted();
     shadowHead = osHead
#ifdef BUG_ACKNOWLEDGED_LAST
     ; nicInterrupt = 0
#endif
  od
}

/* --- The OS ------------------------------------------------------------------------------------------------------- */

/* The slot's buffer is somebody else's now: the NIC must be done with it. */
inline takeBack() {
  buffer[toReclaim] = 0;
  osAddress[toReclaim] = 0; osEnds[toReclaim] = 0; osReports[toReclaim] = 0; osDone[toReclaim] = 0;
  toReclaim = NEXT(toReclaim);
  unfinished--
}

/* A stock driver: frames of one or two descriptors, a report asked for with the last; descriptors are taken back in order. */
active proctype OS() {
  byte toPost, toReclaim, slot, colour, last;
  bit bad, isChain;
  buffer[OTHER] = PART(WHITE, 1);
end:
  do
  :: atomic { !isQuiet -> isQuiet = 1 }
  :: atomic {
       !isQuiet && unfinished < SLOTS - 1 ->
       if :: bad = 0 :: bad = 1 fi;
       if :: isChain = 0 :: unfinished < SLOTS - 2 -> isChain = 1 fi;
#ifndef REWRITE
       if :: colour = WHITE :: last < BLUE -> last++; colour = last fi;
#endif
       if
       :: colour != WHITE && !bad -> lastPosted = colour
       :: colour == RED && bad -> hasDropped = 1
       :: else
       fi;
       /* Nobody looks at the slots until the tail has moved over them. */
       do
       :: buffer[toPost] = PART(colour, bad);
          osAddress[toPost] = toPost; osEnds[toPost] = !isChain; osDone[toPost] = 0;
#ifndef HEAD
          osReports[toPost] = !isChain;
#endif
          toPost = NEXT(toPost); unfinished++;
          if :: isChain -> isChain = 0 :: else -> break fi
       od;
       bad = 0; colour = 0
     }
     /* A doorbell for each frame; at times one in the middle of a frame besides. */
     if
     :: tailRegister = BACK(toPost); accessIPI = 1
     :: skip
     fi;
     tailRegister = toPost;
     accessIPI = 1
#ifdef HEAD
  :: atomic { toReclaim != shadowHead ->
#else
  :: atomic { unfinished > 0 && osDone[(osEnds[toReclaim] -> toReclaim : NEXT(toReclaim))] ->
       /* A frame's report comes with its last descriptor. */
       if :: !osEnds[toReclaim] -> takeBack() :: else fi;
#endif
       assert(unfinished > 0);
       takeBack()
     }
#ifdef REWRITE
  :: atomic {
       unfinished > 0 ->
       slot = toReclaim;
       do :: NEXT(slot) != toPost -> slot = NEXT(slot) :: break od;
       if
       :: buffer[slot] = PART(WHITE, 1)
       :: osAddress[slot] = OTHER
       fi;
       slot = 0
     }
#endif
  od
}

/* When nothing can move any more, the OS has every descriptor back, and every frame that was not dropped is on the wire. */
active proctype Monitor() {
end:
  timeout ->
  assert(isQuiet && unfinished == 0);
#ifndef REWRITE
  assert(lastSent == lastPosted)
#endif
}
