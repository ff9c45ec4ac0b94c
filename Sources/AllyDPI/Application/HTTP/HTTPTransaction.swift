/// A request and its response.
final class HTTPTransaction: ApplicationTransaction {
  /// Where one side is.
  enum Stage: UInt8, Comparable {
    case none, line, headers, body, trailer
    case complete = 255

    static func < (left: Stage, right: Stage) -> Bool { left.rawValue < right.rawValue }
  }

  struct Request {
    var stage = Stage.none
    var line: [UInt8] = []
    var method: [UInt8] = []
    /// As written.
    var target: [UInt8] = []
    var version: [UInt8] = []
    var versionNumber = HTTPVersion.unknown
    var uri = HTTPURI()
    var fields = HTTPHeaderFields()
    /// The header fields as they came, with the empty line behind them.
    var rawFields: [UInt8] = []
    var body = HTTPBody()
    var hasBody = false

    mutating func removeAll() {
      stage = .none
      line.removeAll(keepingCapacity: true)
      method.removeAll(keepingCapacity: true)
      target.removeAll(keepingCapacity: true)
      version.removeAll(keepingCapacity: true)
      versionNumber = .unknown
      uri.removeAll()
      fields.removeAll()
      rawFields.removeAll(keepingCapacity: true)
      body.removeAll()
      hasBody = false
    }
  }

  struct Response {
    var stage = Stage.none
    var line: [UInt8] = []
    var version: [UInt8] = []
    var versionNumber = HTTPVersion.unknown
    var status: [UInt8] = []
    /// 0 when the status is none.
    var statusNumber: UInt16 = 0
    var message: [UInt8] = []
    var fields = HTTPHeaderFields()
    var rawFields: [UInt8] = []
    var body = HTTPBody()
    var hasBody = false
    var hasContinued = false

    mutating func removeAll() {
      stage = .none
      line.removeAll(keepingCapacity: true)
      version.removeAll(keepingCapacity: true)
      versionNumber = .unknown
      status.removeAll(keepingCapacity: true)
      statusNumber = 0
      message.removeAll(keepingCapacity: true)
      fields.removeAll()
      rawFields.removeAll(keepingCapacity: true)
      body.removeAll()
      hasBody = false
      hasContinued = false
    }
  }

  private(set) var number: UInt64 = 0
  var request = Request()
  var response = Response()
  var events = ApplicationEvents()
  var files: [TransferredFile] = []
  /// The range of a file that the answer brings.
  var range: HTTPRangePart?
  let inspection = TransactionInspection()
  /// Buffers that are put together when somebody asks for them.
  private var composed = HTTPComposedBuffers()

  /// Begins anew, keeping the memory.
  func reset(number: UInt64) {
    self.number = number
    request.removeAll()
    response.removeAll()
    events = ApplicationEvents()
    notes = 0
    hasOddField = false
    hasUnreadableField = false
    files.removeAll(keepingCapacity: true)
    range = nil
    inspection.reset()
    composed.removeAll()
  }

  /// How often something was odd.
  private var notes = 0
  /// More is an event of its own.
  private static var mostNotes: Int { 512 }

  func note(_ event: HTTPEvent) {
    events.insert(event.rawValue)
    notes += 1
    if notes == HTTPTransaction.mostNotes { events.insert(HTTPEvent.tooManyWarnings.rawValue) }
  }

  /// A header field is odd, or has no colon.
  private var hasOddField = false
  private var hasUnreadableField = false

  /// Libhtp tells of the first of each kind in a transaction, whichever side says it.
  func noteField(_ event: HTTPEvent, hasColon: Bool = true) {
    let isKnown = hasColon ? hasOddField : hasUnreadableField
    if hasColon { hasOddField = true } else { hasUnreadableField = true }
    if !isKnown { note(event) }
  }

  /// Suricata asks what libhtp found about a request's hosts when the header is whole and when the request is, and about that of
  /// the target once more before.
  func occurrences(of event: UInt8) -> Int {
    switch HTTPEvent(rawValue: event) {
    case .missingHostHeader, .hostHeaderAmbiguous, .requestHeaderHostInvalid: 2
    case .requestURIHostInvalid: 3
    default: 1
    }
  }

  func stage(of side: FlowSide) -> UInt8 {
    side == .toServer ? request.stage.rawValue : response.stage.rawValue
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    composed.bytes(of: buffer, from: side, at: index, in: self)
  }

  /// `HEAD`, `CONNECT` and the like change what the response means.
  func isMethod(_ name: StaticString) -> Bool { request.method.isCaselessEqual(to: name) }
}

/// The version in a request or status line.
enum HTTPVersion: UInt8, Comparable {
  case unknown, http09, http10, http11

  static func < (left: HTTPVersion, right: HTTPVersion) -> Bool { left.rawValue < right.rawValue }

  /// `HTTP/1.1`, in capitals, with white space where lenient servers take it.
  init(_ text: ArraySlice<UInt8>) {
    self = .unknown
    var rest = text.trimmed
    guard rest.count >= 8, rest.prefix(5).isEqual(to: "HTTP/") else { return }
    rest = rest.dropFirst(5).trimmed
    guard rest.count == 3, rest[rest.startIndex + 1] == UInt8(ascii: ".") else { return }
    switch (rest[rest.startIndex], rest[rest.startIndex + 2]) {
    case (0x30, 0x39): self = .http09
    case (0x31, 0x30): self = .http10
    case (0x31, 0x31): self = .http11
    default: break
    }
  }
}
