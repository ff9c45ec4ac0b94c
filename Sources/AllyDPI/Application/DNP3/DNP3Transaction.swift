/// A request, a response, or what an outstation says of its own accord.
final class DNP3Transaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  /// The application message.
  private var message: [UInt8] = []
  private var linkControl: UInt8 = 0
  private var linkSource: UInt16 = 0
  private var linkDestination: UInt16 = 0
  private var control: UInt8 = 0
  private var function: UInt8 = 0
  /// Two bytes of a response, the first one above.
  private var indications: UInt16 = 0
  private var objects: [DNP3Object] = []
  private var isRead = false
  /// All objects could be read.
  private var isComplete = false

  init(number: UInt64, side: FlowSide) {
    self.number = number
    self.side = side
  }

  func note(_ event: DNP3Event) { events.insert(event.rawValue) }

  private var isResponse: Bool { function >= 129 && function <= 131 }

  func read(_ bytes: [UInt8], link: [UInt8]) {
    var header = ByteReader(link[3...])
    linkControl = header.u8() ?? 0
    linkDestination = header.littleU16() ?? 0
    linkSource = header.littleU16() ?? 0
    var reader = ByteReader(bytes)
    guard let control = reader.u8(), let function = reader.u8() else { return note(.lengthTooSmall) }
    message = bytes
    self.control = control
    self.function = function
    isRead = true
    if isResponse {
      guard let bits = reader.u16() else { return note(.lengthTooSmall) }
      indications = bits
    }
    isComplete = DNP3Object.readList(&reader, into: &objects)
    if !isComplete { note(.unknownObject) }
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    buffer == .dnp3Data && side == self.side && index == 0 && isRead ? message[...] : nil
  }

  func meets(_ number: ApplicationNumber, _ test: NumberTest, from side: FlowSide) -> Bool {
    number == .dnp3Function && side == self.side && isRead && test.matches(UInt32(function))
  }

  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool {
    guard side == self.side else { return false }
    switch condition {
    case .dnp3Object(let group, let variation):
      return objects.contains { $0.group == group && $0.variation == variation }
    case .flags(.dnp3Indications, let set, _): return isResponse && UInt32(indications) & set != 0
    default: return false
    }
  }

  // MARK: records

  func recordCount(_ options: RecordOptions) -> Int { isRead ? 1 : 0 }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("dnp3")
    json.beginObject()
    json.key("type")
    json.string(side == .toServer ? "request" : function == 130 ? "unsolicited_response" : "response")
    json.key("control")
    json.beginObject()
    flag("dir", linkControl & 0x80, to: &json)
    flag("pri", linkControl & 0x40, to: &json)
    flag("fcb", linkControl & 0x20, to: &json)
    flag("fcv", linkControl & 0x10, to: &json)
    json.key("function_code")
    json.number(linkControl & 0x0F)
    json.endObject()
    json.key("src")
    json.number(linkSource)
    json.key("dst")
    json.number(linkDestination)
    writeApplication(to: &json)
    if isResponse { writeIndications(to: &json) }
    json.endObject()
  }

  private func writeApplication(to json: inout JSONWriter) {
    json.key("application")
    json.beginObject()
    json.key("control")
    json.beginObject()
    flag("fir", control & 0x80, to: &json)
    flag("fin", control & 0x40, to: &json)
    flag("con", control & 0x20, to: &json)
    flag("uns", control & 0x10, to: &json)
    json.key("sequence")
    json.number(control & 0x0F)
    json.endObject()
    json.key("function_code")
    json.number(function)
    if !objects.isEmpty {
      json.key("objects")
      json.beginArray()
      for object in objects { object.write(to: &json) }
      json.endArray()
    }
    json.key("complete")
    json.bool(isComplete)
    json.endObject()
  }

  private func writeIndications(to json: inout JSONWriter) {
    json.key("iin")
    json.beginObject()
    if indications != 0 {
      json.key("indicators")
      json.beginArray()
      for place in (0..<16).reversed() where indications & 1 << UInt16(place) != 0 {
        json.string(DNP3Transaction.indicators[place])
      }
      json.endArray()
    }
    json.endObject()
  }

  private func flag(_ name: StaticString, _ bit: UInt8, to json: inout JSONWriter) {
    json.key(name)
    json.bool(bit != 0)
  }

  // IEEE 1815 §4.2.2.6, the lowest bit of the second byte first.
  private static let indicators: [StaticString] = [
    "no_func_code_support", "object_unknown", "parameter_error", "event_buffer_overflow", "already_executing",
    "config_corrupt", "reserved_2", "reserved_1",
    "all_stations", "class_1_events", "class_2_events", "class_3_events", "need_time", "local_control",
    "device_trouble", "device_restart",
  ]
}
