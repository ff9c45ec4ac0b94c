internal import CAllyLinux
internal import Glibc
internal import Synchronization

/// The message that a worker has taken from its guest's emulator, and whether the answer to it has left; a view of
/// ``KeptMemory``. One thread uses it.
///
/// That a message was taken out of the socket, and that an answer was put into it, is written down by the kernel in the same
/// call (`recvmmsg(2)` and `sendmmsg(2)` store the length): a worker can die before or after, and not in between.
@safe
struct KeptMessages {
  /// The longest message, header included: what a client sends is a few words, a list of writes at the most.
  static let longest = 0x1_0000
  private static let buffer = 0x1000
  static let byteCount = buffer + longest

  /// Invariant: `byteCount` bytes; the owner of the memory outlives every use of a copy.
  private let place: UnsafeMutableRawPointer

  init(at place: UnsafeMutableRawPointer) { unsafe self.place = place }

  private enum Word {
    static let number = 0
    static let wanted = 8
    static let taken = 256
    /// Of messages with an even number, and of those with an odd one.
    static let left = 512
  }

  /// The message that a worker takes, or has taken, and how many bytes it has.
  private var number: UInt64 { unsafe place.load(fromByteOffset: Word.number, as: UInt64.self) }

  /// The bytes of the message with this number, if it was taken.
  func taken(_ number: UInt64) -> ArraySlice<UInt8>? {
    guard self.number == number else { return nil }
    let length = Int(unsafe ally_noted(place + Word.taken))
    guard length > 0, length <= Self.longest else { return nil }
    return unsafe Array(UnsafeRawBufferPointer(start: place + Self.buffer, count: length))[...]
  }

  /// Takes the message with this number, of so many bytes, all of which wait in the socket.
  ///
  /// - Returns: whether it was taken.
  func take(_ number: UInt64, length: Int, from socket: Int32) -> Bool {
    precondition(length <= Self.longest, "a message that is too long was not refused")
    forget(Word.taken)
    unsafe place.storeBytes(of: number, toByteOffset: Word.number, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    while true {
      // `length` bytes from the buffer on are in the place; the note has a page of its own.
      if unsafe ally_receive_noted(socket, place + Self.buffer, length, place + Word.taken) == 1 { return true }
      if errno != EINTR { return false }
    }
  }

  /// The answer to the message with this number has not left: to be called before it counts that there is one.
  func prepareAnswer(to number: UInt64) { forget(Word.left + 128 * Int(number & 1)) }

  /// How many bytes of the answer to the message with this number have left.
  func left(of number: UInt64) -> Int { Int(unsafe ally_noted(place + Word.left + 128 * Int(number & 1))) }

  /// Sends the answer to the message with this number.
  ///
  /// - Returns: 0, or an error number.
  func send(_ answer: [UInt8], to number: UInt64, through socket: Int32) -> Int32 {
    while true {
      let result = unsafe answer.withUnsafeBytes { bytes in
        unsafe ally_send_noted(socket, bytes.baseAddress, bytes.count, place + Word.left + 128 * Int(number & 1))
      }
      if result == 1 { return 0 }
      if errno != EINTR { return errno }
    }
  }

  private func forget(_ note: Int) {
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    // The whole note; its length is what counts.
    unsafe (place + note).initializeMemory(as: UInt8.self, repeating: 0, count: ally_note_length())
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }
}
