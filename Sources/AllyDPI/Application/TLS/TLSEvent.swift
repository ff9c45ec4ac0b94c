/// What is odd about a conversation. The names are those that rules ask for as `app-layer-event:tls.NAME`.
enum TLSEvent: UInt8, CaseIterable, Sendable {
  case invalidSSLv2Header, invalidTLSHeader, invalidRecordVersion, invalidRecordType, invalidHandshakeMessage
  case heartbeat, invalidHeartbeat, overflowHeartbeat, dataLeakHeartbeatMismatch
  case handshakeInvalidLength, multipleSNIExtensions, invalidSNIType, invalidSNILength, tooManyRecordsInPacket
  case invalidCertificate, certificateMissingElement, certificateUnknownElement, certificateInvalidLength
  case certificateInvalidVersion, certificateInvalidSerial, certificateInvalidAlgorithmIdentifier
  case certificateInvalidX509Name, certificateInvalidDate, certificateInvalidExtensions, certificateInvalidDER
  case certificateInvalidSubject, certificateInvalidIssuer, certificateInvalidValidity
  case errorMessageEncountered, invalidSSLRecord

  var name: StaticString {
    switch self {
    case .invalidSSLv2Header: "invalid_sslv2_header"
    case .invalidTLSHeader: "invalid_tls_header"
    case .invalidRecordVersion: "invalid_record_version"
    case .invalidRecordType: "invalid_record_type"
    case .invalidHandshakeMessage: "invalid_handshake_message"
    case .heartbeat: "heartbeat_message"
    case .invalidHeartbeat: "invalid_heartbeat_message"
    case .overflowHeartbeat: "overflow_heartbeat_message"
    case .dataLeakHeartbeatMismatch: "dataleak_heartbeat_mismatch"
    case .handshakeInvalidLength: "handshake_invalid_length"
    case .multipleSNIExtensions: "multiple_sni_extensions"
    case .invalidSNIType: "invalid_sni_type"
    case .invalidSNILength: "invalid_sni_length"
    case .tooManyRecordsInPacket: "too_many_records_in_packet"
    case .invalidCertificate: "invalid_certificate"
    case .certificateMissingElement: "certificate_missing_element"
    case .certificateUnknownElement: "certificate_unknown_element"
    case .certificateInvalidLength: "certificate_invalid_length"
    case .certificateInvalidVersion: "certificate_invalid_version"
    case .certificateInvalidSerial: "certificate_invalid_serial"
    case .certificateInvalidAlgorithmIdentifier: "certificate_invalid_algorithmidentifier"
    case .certificateInvalidX509Name: "certificate_invalid_x509name"
    case .certificateInvalidDate: "certificate_invalid_date"
    case .certificateInvalidExtensions: "certificate_invalid_extensions"
    case .certificateInvalidDER: "certificate_invalid_der"
    case .certificateInvalidSubject: "certificate_invalid_subject"
    case .certificateInvalidIssuer: "certificate_invalid_issuer"
    case .certificateInvalidValidity: "certificate_invalid_validity"
    case .errorMessageEncountered: "error_message_encountered"
    case .invalidSSLRecord: "invalid_ssl_record"
    }
  }
}
