/// A guest's NIC behind the protocol that its emulator speaks, apart from the socket that carries it.
///
/// One thread calls. An object, because it has a guest's descriptors and mappings.
protocol GuestProtocol: AnyObject {
  associatedtype Header: MessageHeader

  /// Does what a message asks.
  ///
  /// - Returns: the reply; nil when none is wanted.
  func reply(to message: MessageConnection<Header>.Message) throws(ConnectionEnd) -> (Header, [UInt8])?
  /// A descriptor that goes with the last reply, which is then the caller's.
  func takeReplyFile() -> OwnedFile?
  /// Lets the guest hear what its NIC has to say.
  func hear(at now: UInt64)
  /// Lets the NIC work, and the guest hear of it.
  ///
  /// - Returns: whether there may be more to do.
  func work(at now: UInt64) -> Bool
  /// The client is gone: its memory and descriptors too.
  func disconnect()
  /// Reasons of refusals, for the operator; each is told once.
  var complaints: [String] { get }
  /// What becomes readable when the guest has something to do, besides the connection.
  var kicks: [Int32] { get }
  /// What is readable when frames come; nil when none would be taken now.
  var uplinkDescriptor: Int32? { get }
  /// When there is work without anything else happening; nil when there is none.
  var nextTimer: UInt64? { get }
  /// Makes the guest's link follow the uplink's carrier.
  func followCarrier()
  /// Whether the client has cut guest memory short that it had lent.
  var hasLostMemory: Bool { get }
  var report: GuestReport { get }
  /// Why the NIC does not work any more; nil as long as it does.
  var failure: HostError? { get }
}

extension GuestProtocol {
  func takeReplyFile() -> OwnedFile? { nil }
}

/// A guest that a server serves, whatever protocol its emulator speaks.
protocol ServedGuest: AnyObject {
  /// The client's socket; nil without one.
  var descriptor: Int32? { get }
  /// Whether the client has not taken all replies yet.
  var hasOutput: Bool { get }
  var kicks: [Int32] { get }
  var uplinkDescriptor: Int32? { get }
  var nextTimer: UInt64? { get }
  var complaints: [String] { get }
  var report: GuestReport { get }

  func connect(_ socket: consuming OwnedDescriptor)
  /// Does what the next messages ask, at most so many.
  ///
  /// - Returns: how many it did; when all, there may be more.
  func serveMessages(_ count: Int, at now: UInt64) throws(ConnectionEnd) -> Int
  func work(at now: UInt64) -> Bool
  func disconnect()
  func followCarrier()
  var hasLostMemory: Bool { get }
  /// Why the NIC does not work any more; nil as long as it does.
  var failure: HostError? { get }
}

extension ServedGuest {
  var failure: HostError? { nil }
}

/// A guest's NIC, and its client if there is one.
final class GuestSession<Guest: GuestProtocol>: ServedGuest {
  private let guest: Guest
  private var connection: MessageConnection<Guest.Header>?

  init(_ guest: Guest) {
    self.guest = guest
    connection = nil
  }

  var descriptor: Int32? { connection?.descriptor }
  var hasOutput: Bool { connection?.hasOutput == true }
  var kicks: [Int32] { guest.kicks }
  var uplinkDescriptor: Int32? { guest.uplinkDescriptor }
  var nextTimer: UInt64? { guest.nextTimer }
  var complaints: [String] { guest.complaints }
  var report: GuestReport { guest.report }

  func connect(_ socket: consuming OwnedDescriptor) { connection = MessageConnection(socket) }

  func serveMessages(_ count: Int, at now: UInt64) throws(ConnectionEnd) -> Int {
    try connection?.flush()
    for served in 0..<count {
      // A client that does not read its replies is not asked for more requests.
      guard connection?.hasOutput == false, let message = try connection?.next() else { return served }
      if let (header, payload) = try guest.reply(to: message) {
        try connection?.reply(header, payload, guest.takeReplyFile())
      }
      guest.hear(at: now)
    }
    return count
  }

  func work(at now: UInt64) -> Bool { guest.work(at: now) }

  func disconnect() {
    connection = nil
    guest.disconnect()
  }

  func followCarrier() { guest.followCarrier() }
  var hasLostMemory: Bool { guest.hasLostMemory }
  var failure: HostError? { guest.failure }
}
