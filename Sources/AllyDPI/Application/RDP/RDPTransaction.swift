/// A message, whichever side sent it.
final class RDPTransaction: MessageTransaction {
  let number: UInt64
  private let message: RDPMessage
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  init(number: UInt64, message: RDPMessage) {
    self.number = number
    self.message = message
  }

  // MARK: records

  var recordSide: FlowSide? { nil }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("rdp")
    json.beginObject()
    json.key("tx_id")
    json.number(number + 1)
    json.key("event_type")
    switch message {
    case .initialRequest(let request):
      json.string("initial_request")
      if let cookie = request.cookie {
        json.key("cookie")
        json.text(cookie)
      }
      if let flags = request.flags, flags != 0 { write(UInt16(flags), RDPNames.requestFlags, as: "flags", to: &json) }
    case .initialResponse(.plain): json.string("initial_response")
    case .initialResponse(.agreed(let flags, let name)):
      json.string("initial_response")
      if flags != 0 { write(UInt16(flags), RDPNames.responseFlags, as: "server_supports", to: &json) }
      json.key("protocol")
      json.string(name)
    case .initialResponse(.failed(let code, let reason)):
      json.string("initial_response")
      json.key("error_code")
      json.number(code)
      json.key("reason")
      json.string(reason)
    case .connectRequest(let request):
      json.string("connect_request")
      write(request, to: &json)
    case .connectResponse: json.string("connect_response")
    }
    json.endObject()
  }

  private func write(_ request: RDPMessage.ConnectRequest, to json: inout JSONWriter) {
    if let client = request.client {
      json.key("client")
      json.beginObject()
      write(client, to: &json)
      json.endObject()
    }
    if request.channels.isEmpty { return }
    json.key("channels")
    json.beginArray()
    for channel in request.channels { json.text(channel) }
    json.endArray()
  }

  private func write(_ client: RDPClient, to json: inout JSONWriter) {
    json.key("version")
    json.string(RDPNames.version(client.version))
    number("desktop_width", client.width, to: &json)
    number("desktop_height", client.height, to: &json)
    if let depth = client.colorDepth { number("color_depth", depth, to: &json) }
    json.key("keyboard_layout")
    json.string(RDPKeyboards.name(client.keyboardLayout))
    json.key("build")
    json.string(RDPNames.system(client.build))
    text("client_name", client.name, to: &json)
    name("keyboard_type", RDPNames.keyboard(client.keyboardType), to: &json)
    if client.keyboardSubtype != 0 { number("keyboard_subtype", client.keyboardSubtype, to: &json) }
    if client.functionKeys != 0 { number("function_keys", client.functionKeys, to: &json) }
    text("ime", client.inputMethod, to: &json)
    if let product = client.product { number("product_id", product, to: &json) }
    if let serial = client.serial, serial != 0 { number("serial_number", serial, to: &json) }
    if let capabilities = client.capabilities, capabilities != 0,
      capabilities >> UInt16(RDPNames.capabilities.count) == 0
    {
      write(capabilities, RDPNames.capabilities, as: "capabilities", to: &json)
    }
    text("id", client.identifier, to: &json)
    name("connection_hint", client.connection.flatMap(RDPNames.connection), to: &json)
    if let width = client.physicalWidth { number("physical_width", width, to: &json) }
    if let height = client.physicalHeight { number("physical_height", height, to: &json) }
    if let orientation = client.orientation { number("desktop_orientation", orientation, to: &json) }
    if let scale = client.scale { number("scale_factor", scale, to: &json) }
    if let scale = client.deviceScale { number("device_scale_factor", scale, to: &json) }
  }

  private func number(_ key: StaticString, _ value: some UnsignedInteger & FixedWidthInteger, to json: inout JSONWriter)
  {
    json.key(key)
    json.number(value)
  }

  private func text(_ key: StaticString, _ value: [UInt8], to json: inout JSONWriter) {
    if value.isEmpty { return }
    json.key(key)
    json.text(value[...])
  }

  private func name(_ key: StaticString, _ value: String?, to json: inout JSONWriter) {
    guard let value else { return }
    json.key(key)
    json.string(value)
  }

  /// The names of the bits that are set.
  private func write(_ flags: UInt16, _ names: [StaticString?], as key: StaticString, to json: inout JSONWriter) {
    json.key(key)
    json.beginArray()
    for (place, name) in names.enumerated() {
      if flags & 1 << UInt16(place) != 0, let name { json.string(name) }
    }
    json.endArray()
  }
}
