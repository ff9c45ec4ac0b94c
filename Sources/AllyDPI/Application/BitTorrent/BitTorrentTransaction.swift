/// A message, whichever side sent it.
final class BitTorrentTransaction: MessageTransaction {
  let number: UInt64
  private let side: FlowSide
  /// Nil when it is malformed.
  private let message: BitTorrentMessage?
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, message: BitTorrentMessage?) {
    self.number = number
    self.side = side
    self.message = message
  }

  func noteMalformed() { events.insert(0) }
  var inspectedSide: FlowSide? { side }

  // MARK: records

  var recordSide: FlowSide? { side }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("bittorrent_dht")
    json.beginObject()
    digits("transaction_id", message?.identifier ?? [], to: &json)
    if let version = message?.clientVersion { digits("client_version", version, to: &json) }
    switch message?.content {
    case .request(let type, let request):
      json.key("request_type")
      json.text(type)
      json.key("request")
      json.beginObject()
      write(request, to: &json)
      json.endObject()
    case .response(let response):
      json.key("response")
      json.beginObject()
      write(response, to: &json)
      json.endObject()
    case .error(let number, let text):
      json.key("error")
      json.beginObject()
      json.key("num")
      json.number(number)
      json.key("msg")
      json.text(text)
      json.endObject()
    case nil: break
    }
    json.endObject()
  }

  private func write(_ request: BitTorrentMessage.Request, to json: inout JSONWriter) {
    digits("id", request.identifier, to: &json)
    if let target = request.target { digits("target", target, to: &json) }
    if let hash = request.hash { digits("info_hash", hash, to: &json) }
    if let token = request.token { digits("token", token, to: &json) }
    if let impliesPort = request.impliesPort {
      json.key("implied_port")
      json.number(impliesPort)
    }
    if let port = request.port {
      json.key("port")
      json.number(port)
    }
  }

  private func write(_ response: BitTorrentMessage.Response, to json: inout JSONWriter) {
    digits("id", response.identifier, to: &json)
    nodes("nodes", response.nodes, addressBytes: 4, to: &json)
    nodes("nodes6", response.nodes6, addressBytes: 16, to: &json)
    if !response.peers.isEmpty {
      json.key("values")
      json.beginArray()
      for peer in response.peers {
        json.beginObject()
        endpoint(peer, to: &json)
        json.endObject()
      }
      json.endArray()
    }
    if let token = response.token { digits("token", token, to: &json) }
  }

  private func nodes(
    _ key: StaticString, _ bytes: ArraySlice<UInt8>, addressBytes: Int, to json: inout JSONWriter
  ) {
    let length = 20 + addressBytes + 2
    guard bytes.count >= length else { return }
    json.key(key)
    json.beginArray()
    var rest = bytes
    for _ in 0..<min(bytes.count / length, BitTorrentMessage.mostPeers) {
      json.beginObject()
      digits("id", rest.prefix(20), to: &json)
      endpoint(rest.prefix(length).dropFirst(20), to: &json)
      json.endObject()
      rest = rest.dropFirst(length)
    }
    json.endArray()
  }

  /// An address and a port.
  private func endpoint(_ bytes: ArraySlice<UInt8>, to json: inout JSONWriter) {
    let address = bytes.dropLast(2)
    func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
    json.key("ip")
    json.string { text in
      if address.count == 4 {
        text.appendIPv4(UInt32(truncatingIfNeeded: number(address)))
      } else {
        text.appendIPv6(number(address.prefix(8)), number(address.dropFirst(8)))
      }
    }
    json.key("port")
    json.number(number(bytes.suffix(2)))
  }

  private func digits(_ key: StaticString, _ bytes: ArraySlice<UInt8>, to json: inout JSONWriter) {
    json.key(key)
    json.string { $0.appendHexadecimal(bytes) }
  }
}
