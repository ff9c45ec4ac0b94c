public import AllyHW
public import AllyPacket
public import Synchronization

/// The receive loops for what nearly all frames are: one descriptor each, in buffers near each other. They run over slots
/// that do not wrap around, counting up to the end of the run.
extension ReceiveVirtualizer {
  /// Copies posted descriptors, until there is one whose buffer does not lie in the window.
  ///
  /// - Parameters:
  ///   - run: how many slots of either queue may be handled, at least 1.
  ///   - osEnd: the end of the run in the OS queue.
  ///   - nicEnd: the end of the run in the DPI queue.
  ///   - wordsEnd: the end of the run among the buffer addresses.
  ///   - length: the bytes of every buffer.
  /// - Returns: how many.
  @unsafe
  @inlinable
  @inline(__always)
  static func copyOffers(
    _ run: UInt32, before osEnd: UnsafeMutableRawPointer, _ nicEnd: UnsafeMutableRawPointer,
    _ wordsEnd: UnsafeMutablePointer<UInt64>, window: BufferWindow, length: UInt32
  ) -> UInt32 {
    let roomy = window.roomyOffsets(for: length)
    var left = 0 &- Int(run)
    repeat {
      let buffer = unsafe DescriptorSlots<OSSide>.load(from: osEnd + left &* DescriptorSlots<OSSide>.stride)
        .offeredBuffer
      guard buffer.rawValue &- window.base < roomy else { break }
      unsafe wordsEnd[left] = buffer.rawValue
      unsafe DescriptorSlots<NICSide>.store(
        NICSide(offering: buffer), to: nicEnd + left &* DescriptorSlots<NICSide>.stride)
      left &+= 1
    } while left != 0
    return run &- UInt32(truncatingIfNeeded: 0 &- left)
  }

  /// What ``publishPlainFrames(_:before:_:_:endSlot:noting:window:progress:queue:inspecting:clock:)`` did.
  @frozen
  @usableFromInline
  struct PlainFrames: BitwiseCopyable {
    /// Frames that passed and were published.
    @usableFromInline var frames: UInt32
    /// Of the frame after these, if it was inspected and does not pass; otherwise `accept`.
    @usableFromInline var verdict: Verdict

    @inlinable
    init(frames: UInt32, verdict: Verdict) {
      self.frames = frames
      self.verdict = verdict
    }
  }

  /// Inspects and publishes frames, until there is one that is not completed, is not in one descriptor, does not lie in
  /// the window or does not pass.
  ///
  /// - Parameters:
  ///   - run: how many slots of either queue may be handled, at least 1.
  ///   - osEnd: the end of the run in the OS queue.
  ///   - nicEnd: the end of the run in the DPI queue.
  ///   - wordsEnd: the end of the run among the buffer addresses.
  ///   - endSlot: the slot at the end of the run.
  ///   - headPlace: where to note each slot that is done.
  @unsafe
  @inlinable
  @inline(__always)
  static func publishPlainFrames<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ run: UInt32, before osEnd: UnsafeMutableRawPointer, _ nicEnd: UnsafeMutableRawPointer,
    _ wordsEnd: UnsafeMutablePointer<UInt64>, endSlot: UInt32, noting headPlace: UnsafeMutablePointer<Atomic<UInt32>>,
    window: BufferWindow, progress: ReceiveProgress, queue: UInt16, inspecting inspector: inout Inspector,
    clock: inout Clock
  ) -> PlainFrames {
    let roomy = window.roomyOffsets(for: progress.bufferLength)
    var verdict = Verdict.accept
    var left = 0 &- Int(run)
    repeat {
      let descriptor = unsafe DescriptorSlots<NICSide>.load(from: nicEnd + left &* DescriptorSlots<NICSide>.stride)
      let buffer = unsafe wordsEnd[left]
      let offset = buffer &- window.base
      guard let length = descriptor.endingLength, length <= progress.bufferLength, offset < roomy else { break }
      let frameLength = length > progress.trailerLength ? length &- progress.trailerLength : 0
      verdict = unsafe inspectReceived(
        window.place(at: offset), length: frameLength, queue: queue, offloads: descriptor.offloads,
        inspecting: &inspector, clock: &clock)
      guard verdict.passes else { break }
      unsafe DescriptorSlots<OSSide>.store(
        OSSide(published: descriptor, buffer: buffer), to: osEnd + left &* DescriptorSlots<OSSide>.stride)
      left &+= 1
      unsafe headPlace.pointee.store(endSlot &+ UInt32(truncatingIfNeeded: left), ordering: .releasing)
    } while left != 0
    return PlainFrames(frames: run &- UInt32(truncatingIfNeeded: 0 &- left), verdict: verdict)
  }
}
