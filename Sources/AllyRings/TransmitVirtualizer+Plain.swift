public import AllyHW
public import AllyPacket
public import Synchronization

/// The transmit loops for what nearly all frames are: one descriptor each, reported when done. They run over slots that do
/// not wrap around, counting up to the end of the run, so that one register serves both queues.
extension TransmitVirtualizer {
  /// What ``forwardPlainFrames(_:before:_:window:queue:context:inspecting:clock:)`` did.
  @frozen
  @usableFromInline
  struct PlainFrames: BitwiseCopyable {
    /// Frames that passed and are in the DPI queue.
    @usableFromInline var frames: UInt32
    /// Of the frame after these, if it was inspected and does not pass; otherwise `accept`.
    @usableFromInline var verdict: Verdict

    @inlinable
    init(frames: UInt32, verdict: Verdict) {
      self.frames = frames
      self.verdict = verdict
    }
  }

  /// Copies plain frames that pass, until there is one that is not plain, does not lie in the window or does not pass.
  ///
  /// - Parameters:
  ///   - run: how many slots of either queue may be handled, at least 1.
  ///   - osEnd: the end of the run in the OS queue.
  ///   - nicEnd: the end of the run in the DPI queue.
  @unsafe
  @inlinable
  @inline(__always)
  static func forwardPlainFrames<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ run: UInt32, before osEnd: UnsafeMutableRawPointer, _ nicEnd: UnsafeMutableRawPointer, window: BufferWindow,
    queue: UInt16, context: OSSide.OffloadContext, inspecting inspector: inout Inspector, clock: inout Clock
  ) -> PlainFrames {
    let roomy = window.roomyOffsets(for: OSSide.maximumPlainFrameLength)
    let stride = DescriptorSlots<OSSide>.stride
    let nicStride = DescriptorSlots<NICSide>.stride
    var verdict = Verdict.accept
    var left = 0 &- Int(run) &* stride
    repeat {
      let descriptor = unsafe DescriptorSlots<OSSide>.load(from: osEnd + left)
      let offset = descriptor.buffer.rawValue &- window.base
      guard let length = descriptor.plainFrameLength, offset < roomy, let forwarded = NICSide(forwarding: descriptor)
      else { break }
      verdict = unsafe inspectTransmitted(
        window.place(at: offset), length: length, queue: queue, offloads: descriptor.offloads(in: context),
        inspecting: &inspector, clock: &clock)
      guard verdict.passes else { break }
      let nicLeft = stride == nicStride ? left : left / stride &* nicStride
      unsafe DescriptorSlots<NICSide>.store(forwarded, to: nicEnd + nicLeft)
      left &+= stride
    } while left != 0
    return PlainFrames(
      frames: run &- UInt32(truncatingIfNeeded: UInt(bitPattern: 0 &- left) / UInt(stride)), verdict: verdict)
  }

  /// Completes slots that the NIC has completed. Their descriptors are the same in both queues, and what the NIC did not
  /// report is not reported here.
  ///
  /// - Parameters:
  ///   - run: how many slots, at least 1.
  ///   - osEnd: the end of the run in the OS queue.
  ///   - nicEnd: the end of the run in the DPI queue.
  ///   - first: the slot of the OS queue at the beginning of the run.
  ///   - headPlace: where to note each slot that is done.
  @unsafe
  @inlinable
  @inline(__always)
  static func completeRun(
    _ run: UInt32, before osEnd: UnsafeMutableRawPointer, _ nicEnd: UnsafeMutableRawPointer, from first: UInt32,
    noting headPlace: UnsafeMutablePointer<Atomic<UInt32>>
  ) {
    let stride = DescriptorSlots<OSSide>.stride
    var left = 0 &- Int(run) &* stride
    var head = first
    // Four at a time, after those that make it a multiple.
    for _ in 0..<(run & 3) {
      unsafe completeSlot(at: left, before: osEnd, nicEnd, head: &head, noting: headPlace)
      left &+= stride
    }
    while left != 0 {
      unsafe completeSlot(at: left, before: osEnd, nicEnd, head: &head, noting: headPlace)
      unsafe completeSlot(at: left &+ stride, before: osEnd, nicEnd, head: &head, noting: headPlace)
      unsafe completeSlot(at: left &+ 2 &* stride, before: osEnd, nicEnd, head: &head, noting: headPlace)
      unsafe completeSlot(at: left &+ 3 &* stride, before: osEnd, nicEnd, head: &head, noting: headPlace)
      left &+= 4 &* stride
    }
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func completeSlot(
    at left: Int, before osEnd: UnsafeMutableRawPointer, _ nicEnd: UnsafeMutableRawPointer, head: inout UInt32,
    noting headPlace: UnsafeMutablePointer<Atomic<UInt32>>
  ) {
    let descriptor = unsafe DescriptorSlots<OSSide>.loadOwnership(from: nicEnd + left)
    unsafe DescriptorSlots<OSSide>.storeOwnership(of: descriptor, to: osEnd + left)
    head &+= 1
    unsafe headPlace.pointee.store(head, ordering: .releasing)
  }
}
