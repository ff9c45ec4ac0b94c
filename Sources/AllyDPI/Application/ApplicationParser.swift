/// Follows one conversation of one application protocol: bytes in order go in, transactions come out.
///
/// A parser is one folder under `Application`. It knows nothing of rules, flows and records; the engine knows nothing of
/// the protocol: it asks for stages, buffers and events by name (Docs/ADR/0013). A protocol is added by conforming to
/// ``ApplicationParser`` and ``ApplicationTransaction`` and by one line in ``ApplicationParsers``.
///
/// A parser lives as long as its flow and belongs to one core. Whatever it is fed, it must stay within the limits of its
/// ``ApplicationLimits``: bytes kept for a line, a header, a body, and transactions that live at once.
protocol ApplicationParser: AnyObject {
  static var applicationProtocol: ApplicationProtocol { get }
  /// TCP, UDP or both, by their IP protocol numbers.
  static var transports: [UInt8] { get }

  /// The kind of its records.
  static var recordKind: RecordKinds { get }

  /// Looks at what one side said first.
  ///
  /// - Parameters:
  ///   - start: the first bytes of a stream in that direction, or a datagram.
  ///   - serverPort: a hint only: a protocol is found on any port.
  ///   - transport: one of ``transports``.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition

  /// The port that servers have, where that is a hint; 0 where it is none.
  static var standardPort: UInt16 { get }

  /// The protocol's name in records and in `app_proto`.
  static var recordName: StaticString { get }

  /// The type of its own records.
  static var recordType: StaticString { get }
  /// Whether records of anomalies write events in capitals.
  static var capitalizesEvents: Bool { get }

  /// Whether each side can be told by its own first bytes: then one that says something else is worth an event.
  static var recognizesEachSide: Bool { get }

  /// Whether records of files say what they say of the transaction that carried it.
  static var describesFiles: Bool { get }

  /// Whether its streams are read beyond `stream.reassembly.depth`, because files come at any time.
  static var isReadToTheEnd: Bool { get }

  /// When a buffer can be inspected; nil when it does not exist in what this side says.
  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability?

  /// Every event, by the name behind `app-layer-event:PROTOCOL.`; the place is the event's number, 0 to 127.
  static var eventNames: [StaticString] { get }

  /// The names of its frames (`frame:NAME`); the place is the type.
  static var frameTypes: [StaticString] { get }

  init(limits: ApplicationLimits, transport: UInt8)

  /// Where it says which frames there are; told once, before the first bytes, and only when somebody asks for frames.
  func useFrames(_ list: FrameList)

  /// What is done with the files that it carries; told once, before the first bytes.
  func useFiles(_ policy: FilePolicy)

  /// Another connection announced this one (``takeExpectation()``); told once, before the first bytes.
  func adopt(_ announcement: AnyObject)

  /// A connection that what was said announces; each once.
  func takeExpectation() -> FlowExpectation?

  /// What follows is no longer this protocol's: a tunnel, or the start of encryption.
  var isHandedOver: Bool { get }

  /// What follows is of no interest to it, and to nobody else: the streams need not be put together any more.
  var isFinished: Bool { get }

  /// What is said from now on is encrypted: rules on payloads find nothing in it.
  var isEncrypted: Bool { get }

  /// What was said is not this protocol, or bytes of it are missing: of one side at least nothing more is read.
  var isLost: Bool { get }

  /// What was said to follow then; nil when it may be anything.
  var announcedSuccessor: ApplicationProtocol? { get }

  /// It goes on with what another protocol has begun; told once, before the first bytes.
  func follow(_ before: any ApplicationParser)

  /// Takes the bytes that follow, of a stream, or a whole datagram.
  func receive(_ data: RawSpan, from side: FlowSide)

  /// `count` bytes of a stream are missing and will not come any more.
  func skip(_ count: Int, from side: FlowSide)

  /// One side says no more.
  func close(_ side: FlowSide)

  /// The transactions that are not done with, oldest first.
  var transactionCount: Int { get }
  func transaction(at index: Int) -> any ApplicationTransaction

  /// Which transactions may have changed since this was last asked. Others are not looked at again, so that a conversation of many
  /// open transactions costs no more with each packet. Transactions lie in the order of their numbers.
  func takeChanged() -> TransactionNumbers

  /// The engine is done with a transaction: it is inspected in both directions and recorded.
  func removeTransaction(at index: Int)
}

extension ApplicationParser {
  func takeChanged() -> TransactionNumbers { .all }
  static var eventNames: [StaticString] { [] }
  static var recordType: StaticString { recordName }
  static var capitalizesEvents: Bool { false }
  static var isReadToTheEnd: Bool { false }
  static var describesFiles: Bool { true }
  static var standardPort: UInt16 { 0 }
  static var recognizesEachSide: Bool { false }
  static var frameTypes: [StaticString] { [] }
  func useFiles(_ policy: FilePolicy) {}
  func useFrames(_ list: FrameList) {}
  func adopt(_ announcement: AnyObject) {}
  func takeExpectation() -> FlowExpectation? { nil }
  var isHandedOver: Bool { false }
  var isFinished: Bool { false }
  var isEncrypted: Bool { false }
  var isLost: Bool { false }
  var announcedSuccessor: ApplicationProtocol? { nil }
  func follow(_ before: any ApplicationParser) {}
}

/// What ``ApplicationParser/recognize(_:from:serverPort:)`` found.
enum Recognition: Sendable { case yes, no, needsMore }

/// When a buffer of a transaction is there to be inspected.
struct BufferAvailability: BitwiseCopyable, Sendable {
  /// The stage of its side from which on it is complete.
  var stage: UInt8
  /// It grows while the transaction is in the stage before, and may be inspected as it grows: a body.
  var grows = false
}

/// One request and its response, or whatever a protocol exchanges.
protocol ApplicationTransaction: AnyObject {
  /// From 0, in the order of appearance.
  var number: UInt64 { get }
  /// How far one side is; ``TransactionStage/complete`` when it says no more about this transaction. Never goes back.
  func stage(of side: FlowSide) -> UInt8
  /// A buffer's bytes; nil when it is not there. A buffer that occurs several times (header fields, names in a query) has
  /// indices from 0 to the first that is nil.
  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>?
  /// What was odd about it so far.
  var events: ApplicationEvents { get }
  /// How many records an event has.
  func occurrences(of event: UInt8) -> Int
  /// Files that it carries or carried, in the order of appearance.
  var files: [TransferredFile] { get }
  /// A number that rules compare; nil when there is none.
  func value(of number: ApplicationNumber) -> UInt32?
  /// Whether a number meets a rule's comparison; where there may be several, one of them.
  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool
  /// Whether a condition of a rule holds that is about no buffer. It is asked again until the side is complete.
  ///
  /// - Parameters:
  ///   - condition: what the rule asks for.
  ///   - side: the side that the rule looks at.
  ///   - time: the packet's, in nanoseconds since 1970.
  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool
  /// What completes it may come from the other side than the one whose rules look at it: it is kept until that side has been
  /// inspected once more.
  var isInspectedLate: Bool { get }
  /// The one side whose rules look at it, when the other side's have nothing to do with it; nil for both.
  var inspectedSide: FlowSide? { get }
  /// How numbers in it are written, for options that follow the message (`dce`).
  var isLittleEndian: Bool { get }
  /// Whether it meets a condition that only its protocol knows.
  ///
  /// - Parameters:
  ///   - test: the condition.
  ///   - packet: the packet that the rule is evaluated for.
  ///   - side: whose packet it is.
  ///   - ranges: what ranges in the condition count in.
  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool
  /// Writes what records of alerts and files say about the transaction, as `"http":{…}`.
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions)
  /// As ``writeFields(to:_:)``, with what only records of alerts show.
  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions)
  /// Whether its records can be written: when both sides are complete, unless the protocol says otherwise. They are
  /// written once.
  var isRecordable: Bool { get }
  /// The side whose sender is the source in its records; nil for that of the packet that completes it.
  var recordSide: FlowSide? { get }
  /// How many records of its own it has once it is recordable.
  func recordCount(_ options: RecordOptions) -> Int
  /// Whether its records say its number, in front of its fields.
  var recordsHaveNumber: Bool { get }
  /// Writes what is particular to one of them: its fields, unless the protocol says otherwise.
  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions)
  /// What the engine keeps about the transaction.
  var inspection: TransactionInspection { get }
}

extension ApplicationTransaction {
  var files: [TransferredFile] { [] }
  func occurrences(of event: UInt8) -> Int { 1 }
  func recordCount(_ options: RecordOptions) -> Int { 1 }
  func value(of number: ApplicationNumber) -> UInt32? { nil }
  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    value(of: number).map { test.matches($0) } ?? false
  }
  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool { false }
  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) { writeFields(to: &json, options) }
  var isRecordable: Bool {
    stage(of: .toServer) == TransactionStage.complete && stage(of: .toClient) == TransactionStage.complete
  }
  var recordSide: FlowSide? { .toServer }
  var recordsHaveNumber: Bool { true }
  var isLittleEndian: Bool { true }
  var isInspectedLate: Bool { false }
  var inspectedSide: FlowSide? { nil }

  func matches(
    _ test: TransactionTest, in packet: DecodedPacket, from side: FlowSide,
    ranges: ConstantTable<DetectionTables.NumberRange>
  ) -> Bool { false }

  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    if recordsHaveNumber {
      json.key("tx_id")
      json.number(number)
    }
    writeFields(to: &json, options)
  }
}

/// Stages that all protocols share; those between are each protocol's own.
enum TransactionStage {
  static var none: UInt8 { 0 }
  static var complete: UInt8 { .max }
}

/// A set of a protocol's events: one bit each.
struct ApplicationEvents: BitwiseCopyable, Sendable, Equatable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  var isEmpty: Bool { low | high == 0 }

  mutating func insert(_ number: UInt8) {
    if number < 64 { low |= 1 &<< UInt64(number) } else { high |= 1 &<< UInt64(number &- 64) }
  }

  func contains(_ number: UInt8) -> Bool {
    if number >= 128 { return false }
    return number < 64 ? low & (1 &<< UInt64(number)) != 0 : high & (1 &<< UInt64(number &- 64)) != 0
  }
}

/// Caps of what a parser keeps.
public struct ApplicationLimits: Sendable {
  /// Bytes of one line or header field.
  public var field = 18_000
  /// Header fields of one message.
  public var headers = 1024
  /// Bytes of a body that are kept for inspection, by side; 0 for all.
  public var requestBody = 100 << 10
  public var responseBody = 100 << 10
  /// Content encodings on top of each other that are undone.
  public var encodingLayers = 2
  /// Bytes from the start of a file that are kept for inspection, where it is not a body that is kept anyway.
  public var file = 100 << 10
  /// Bytes that a compressed body may become.
  public var decompressedBody = 32 << 20
  /// Transactions of one flow that are not done with.
  public var transactions = 512
  /// Bytes of one message of a handshake.
  public var handshake = 256 << 10
  /// What is said about single protocols.
  public var options = ApplicationOptions()

  public init() {}
}
