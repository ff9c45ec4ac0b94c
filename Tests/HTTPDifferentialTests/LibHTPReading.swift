import CHTP
import Glibc

extension HTTPReading {
  /// A conversation as libhtp reads it, set up as Suricata sets it up.
  init(byLibHTP conversation: Conversation) {
    let bodies = Bodies()
    let settings = unsafe htp_config_create()
    defer { unsafe htp_config_destroy(settings) }
    unsafe htp_config_set_server_personality(settings, HTP_SERVER_IDS)
    // The case of paths is kept, though the personality would not.
    unsafe htp_config_set_convert_lowercase(settings, HTP_DECODER_URL_PATH, 0)
    unsafe htp_config_set_parse_request_cookies(settings, 0)
    unsafe htp_config_set_request_decompression(settings, 1)
    unsafe htp_config_set_response_decompression_layer_limit(settings, 2)
    unsafe htp_config_set_log_level(settings, HTP_LOG_NONE)
    unsafe htp_config_register_request_body_data(settings) { unsafe Bodies.append($0, isRequest: true) }
    unsafe htp_config_register_response_body_data(settings) { unsafe Bodies.append($0, isRequest: false) }
    let parser = unsafe htp_connp_create(settings)
    defer { unsafe htp_connp_destroy_all(parser) }
    // `bodies` lives until the end of this function, and the parser no longer.
    unsafe htp_connp_set_user_data(parser, Unmanaged.passUnretained(bodies).toOpaque())
    unsafe htp_connp_open(parser, "192.0.2.1", 40_000, "192.0.2.2", 80, nil)
    var time = htp_time_t()
    for utterance in conversation {
      time.tv_sec += 1
      let state = unsafe utterance.bytes.withUnsafeBytes { bytes in
        // The parser reads the bytes during the call, and keeps none of them. Without an address they are missing.
        let start = utterance.isMissing ? nil : unsafe bytes.baseAddress
        return utterance.speaker == .client
          ? unsafe htp_connp_req_data(parser, &time, start, bytes.count)
          : unsafe htp_connp_res_data(parser, &time, start, bytes.count)
      }
      // Suricata gives up a connection of which libhtp says that.
      if state == Int32(HTP_STREAM_ERROR.rawValue) { break }
    }
    unsafe htp_connp_close(parser, &time)
    guard let connection = unsafe htp_connp_get_connection(parser) else { return }
    let list = unsafe UnsafePointer<htp_conn_t>(connection).pointee.transactions
    for index in 0..<(unsafe htp_list_array_size(list)) {
      guard let place = unsafe htp_list_array_get(list, index) else { continue }
      let address = UInt(bitPattern: place)
      let found = unsafe place.assumingMemoryBound(to: htp_tx_t.self).pointee
      transactions.append(
        unsafe Transaction(
          method: Self.bytes(found.request_method), target: Self.bytes(found.request_uri),
          path: found.parsed_uri == nil ? [] : Self.bytes(found.parsed_uri.pointee.path),
          requestFields: Self.fields(found.request_headers), requestBody: bodies.requests[address] ?? [],
          status: Int(max(0, found.response_status_number)), message: Self.bytes(found.response_message),
          responseFields: Self.fields(found.response_headers), responseBody: bodies.responses[address] ?? []))
    }
    withExtendedLifetime(bodies) {}
  }

  /// The bodies of transactions, by the address of the transaction.
  private final class Bodies {
    var requests: [UInt: [UInt8]] = [:]
    var responses: [UInt: [UInt8]] = [:]

    static func append(_ piece: UnsafeMutablePointer<htp_tx_data_t>?, isRequest: Bool) -> Int32 {
      guard let piece = unsafe piece?.pointee, let transaction = unsafe piece.tx, unsafe piece.data != nil,
        let owner = unsafe htp_connp_get_user_data(transaction.pointee.connp)
      else { return HTP_OK }
      let bodies = unsafe Unmanaged<Bodies>.fromOpaque(owner).takeUnretainedValue()
      // As many bytes as the piece says are at its place.
      let bytes = unsafe UnsafeBufferPointer(start: piece.data, count: piece.len)
      let address = UInt(bitPattern: transaction)
      if isRequest {
        unsafe bodies.requests[address, default: []].append(contentsOf: bytes)
      } else {
        unsafe bodies.responses[address, default: []].append(contentsOf: bytes)
      }
      return HTP_OK
    }
  }

  /// A libhtp string: its bytes are behind it, or elsewhere.
  private static func bytes(_ string: UnsafeMutablePointer<bstr>?) -> [UInt8] {
    guard let string = unsafe string else { return [] }
    let own = unsafe UnsafeMutableRawPointer(string + 1).assumingMemoryBound(to: UInt8.self)
    return unsafe Array(UnsafeBufferPointer(start: string.pointee.realptr ?? own, count: string.pointee.len))
  }

  private static func fields(_ table: OpaquePointer?) -> [Field] {
    guard let table = unsafe table else { return [] }
    return (0..<(unsafe htp_table_size(table))).compactMap { index in
      guard let place = unsafe htp_table_get_index(table, index, nil) else { return nil }
      let header = unsafe place.assumingMemoryBound(to: htp_header_t.self).pointee
      return unsafe Field(name: bytes(header.name), value: bytes(header.value))
    }
  }
}
