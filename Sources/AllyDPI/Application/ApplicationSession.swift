internal import AllyPacket

/// One flow's conversation in its protocol.
final class ApplicationSession {
  let application: ApplicationProtocol
  /// The protocol's place in ``ApplicationParsers/all``.
  let index: UInt8
  let parser: any ApplicationParser
  /// The kind of the protocol's records.
  let recordKind: RecordKinds
  let eventNames: [StaticString]
  /// How far each side of the stream has been fed.
  private var nextToServer: UInt64
  private var nextToClient: UInt64
  private var isClosedToServer = false
  private var isClosedToClient = false

  /// Its streams are read beyond the depth of reassembly.
  let isReadToTheEnd: Bool
  /// nil when nobody asks for frames of this protocol.
  let frames: FrameList?
  /// How often a conversation that was handed over has been looked at.
  private var handoverLooks = 0

  /// - Parameters:
  ///   - type: the protocol's parser.
  ///   - limits: what it may keep.
  ///   - files: what is done with the files that it carries.
  ///   - transport: TCP or UDP.
  ///   - before: the conversation that this one goes on with, in the same streams.
  init(
    _ type: any ApplicationParser.Type, limits: ApplicationLimits, files: FilePolicy, transport: UInt8,
    after before: ApplicationSession? = nil
  ) {
    isReadToTheEnd = type.isReadToTheEnd
    nextToServer = before?.nextToServer ?? 0
    nextToClient = before?.nextToClient ?? 0
    application = type.applicationProtocol
    index = ApplicationParsers.index(of: type.applicationProtocol)
    recordKind = type.recordKind
    eventNames = type.eventNames
    parser = type.init(limits: limits, transport: transport)
    parser.useFiles(files)
    let asksForFrames = index < 32 && limits.options.frames & 1 &<< UInt32(index) != 0
    frames =
      asksForFrames
      ? FrameList(
        isStream: transport == IPProtocolNumber.tcp, showsStream: limits.options.showsStreamFrames) : nil
    if let frames { parser.useFrames(frames) }
  }

  /// What of a window has not been fed; nil when there is nothing, or something before it is missing.
  @_lifetime(copy window)
  func fresh(_ window: borrowing StreamWindow, from side: FlowSide) -> RawSpan? {
    let fed = side == .toServer ? nextToServer : nextToClient
    guard fed >= window.streamOffset, fed < window.streamOffset + UInt64(window.bytes.byteCount) else { return nil }
    return window.bytes.extracting(Int(fed - window.streamOffset)...)
  }

  /// Whether it is worth looking for what comes after it: a few times, then it is nothing that is known.
  func mayBeSucceeded() -> Bool {
    handoverLooks += 1
    return handoverLooks <= 4
  }

  /// How often it heard something, and how far detection has followed on each side.
  private var changes = 0
  private var inspectedToServer = 0
  private var inspectedToClient = 0

  /// Whether it heard something since a packet of this side was last inspected.
  func needsInspection(_ side: FlowSide) -> Bool {
    changes != (side == .toServer ? inspectedToServer : inspectedToClient)
  }

  /// Whether there are transactions that no packet of this side was inspected with since they are complete.
  func hasUninspected(_ side: FlowSide) -> Bool {
    (0..<parser.transactionCount).contains {
      parser.transaction(at: $0).inspection.withSide(side) { $0.stage } != TransactionStage.complete
    }
  }

  /// A packet of this side is inspected now.
  ///
  /// - Returns: the transactions that may have changed since the last one was.
  func setInspected(_ side: FlowSide) -> TransactionNumbers {
    if side == .toServer {
      defer { changedToServer = .none }
      inspectedToServer = changes
      return changedToServer
    }
    defer { changedToClient = .none }
    inspectedToClient = changes
    return changedToClient
  }

  /// Transactions that may have changed since a packet of a side was inspected.
  private var changedToServer = TransactionNumbers.none
  private var changedToClient = TransactionNumbers.none
  /// Transactions that may have something to record, or wait to be forgotten.
  private var unrecorded = TransactionNumbers.none

  /// Where records are looked for. Until ``keepUnrecorded(_:)`` says otherwise, there will be nothing but what changes.
  func takeUnrecorded() -> TransactionNumbers {
    defer { unrecorded = .none }
    return unrecorded
  }

  /// A transaction will have something to record, or be forgotten, without a change of its own.
  func keepUnrecorded(_ number: UInt64) { unrecorded.insertAtFront(number) }

  private func noteChange() {
    changes &+= 1
    let changed = parser.takeChanged()
    changedToServer.formUnion(changed)
    changedToClient.formUnion(changed)
    unrecorded.formUnion(changed)
  }

  /// Other rules are in effect: every transaction is looked at again.
  func reload(_ translation: MatchTranslation) {
    changedToServer = .all
    changedToClient = .all
    for index in 0..<parser.transactionCount { parser.transaction(at: index).inspection.reload(translation) }
  }

  func receive(datagram: RawSpan, from side: FlowSide) {
    frames?.willReceive(datagram, from: side, at: 0)
    parser.receive(datagram, from: side)
    noteChange()
  }

  /// Feeds what is new in a window, and says what is missing before it.
  ///
  /// - Returns: whether there was anything new.
  func receive(_ window: borrowing StreamWindow, from side: FlowSide) -> Bool {
    if side == .toServer ? isClosedToServer : isClosedToClient { return false }
    let fed = side == .toServer ? nextToServer : nextToClient
    let end = window.streamOffset + UInt64(window.bytes.byteCount)
    if fed > window.streamOffset {
      guard fed < end else { return false }
      let fresh = window.bytes.extracting(Int(fed - window.streamOffset)...)
      frames?.willReceive(fresh, from: side, at: fed)
      parser.receive(fresh, from: side)
    } else {
      if window.streamOffset > fed { parser.skip(Int(clamping: window.streamOffset - fed), from: side) }
      frames?.willReceive(window.bytes, from: side, at: window.streamOffset)
      parser.receive(window.bytes, from: side)
    }
    if side == .toServer { nextToServer = end } else { nextToClient = end }
    noteChange()
    return true
  }

  /// Neither side says more.
  var isClosed: Bool { isClosedToServer && isClosedToClient }

  /// One side's stream is over.
  ///
  /// - Returns: whether it was open.
  func close(_ side: FlowSide) -> Bool {
    if side == .toServer ? isClosedToServer : isClosedToClient { return false }
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
    parser.close(side)
    frames?.close(side)
    noteChange()
    return true
  }

  /// A frame's name as rules and records have it.
  func frameName(_ type: UInt8) -> StaticString {
    type == FrameList.wholeStream ? "stream" : ApplicationParsers.all[Int(index)].frameTypes[Int(type)]
  }

  /// The transaction of this number; nil when it is done with.
  func transaction(_ number: UInt64) -> (any ApplicationTransaction)? {
    let place = parser.place(of: number)
    guard place < parser.transactionCount, parser.transaction(at: place).number == number else { return nil }
    return parser.transaction(at: place)
  }
}
