/// What is odd about an HTTP conversation. The names are those that rules ask for as `app-layer-event:http.NAME`.
enum HTTPEvent: UInt8, CaseIterable, Sendable {
  case unknownError
  case gzipDecompressionFailed
  case requestFieldMissingColon
  case responseFieldMissingColon
  case invalidRequestChunkLength
  case invalidResponseChunkLength
  case invalidTransferEncodingInRequest
  case invalidTransferEncodingInResponse
  case invalidContentLengthInRequest
  case invalidContentLengthInResponse
  case duplicateContentLengthInRequest
  case duplicateContentLengthInResponse
  case continueAlreadySeen
  case unableToMatchResponseToRequest
  case invalidServerPortInRequest
  case invalidAuthorityPort
  case requestHeaderInvalid
  case responseHeaderInvalid
  case missingHostHeader
  case hostHeaderAmbiguous
  case invalidRequestFieldFolding
  case invalidResponseFieldFolding
  case requestFieldTooLong
  case responseFieldTooLong
  case requestServerPortMismatch
  case requestURIHostInvalid
  case requestHeaderHostInvalid
  case methodDelimiterNonCompliant
  case uriDelimiterNonCompliant
  case requestLineLeadingWhitespace
  case tooManyEncodingLayers
  case abnormalContentEncodingHeader
  case requestAuthorizationUnrecognized
  case requestHeaderRepetition
  case responseHeaderRepetition
  case responseMultipartByteRanges
  case responseAbnormalTransferEncoding
  case responseChunkedOldProtocol
  case responseInvalidProtocol
  case responseInvalidStatus
  case requestLineIncomplete
  case doubleEncodedURI
  case requestLineInvalid
  case requestBodyUnexpected
  case requestChunkExtension
  case requestLineMissingProtocol
  case tooManyTransactions
  case failedProtocolChange
  case multipartGenericError
  case multipartNoFileData
  case multipartInvalidHeader
  case compressionBomb
  case compressionBombTimeLimit
  case rangeInvalid
  case lzmaMemoryLimitReached
  case tooManyWarnings
  case fileNameTooLong
  case requestTooManyHeaders
  case responseTooManyHeaders

  var name: StaticString {
    switch self {
    case .unknownError: "unknown_error"
    case .gzipDecompressionFailed: "gzip_decompression_failed"
    case .requestFieldMissingColon: "request_field_missing_colon"
    case .responseFieldMissingColon: "response_field_missing_colon"
    case .invalidRequestChunkLength: "invalid_request_chunk_len"
    case .invalidResponseChunkLength: "invalid_response_chunk_len"
    case .invalidTransferEncodingInRequest: "invalid_transfer_encoding_value_in_request"
    case .invalidTransferEncodingInResponse: "invalid_transfer_encoding_value_in_response"
    case .invalidContentLengthInRequest: "invalid_content_length_field_in_request"
    case .invalidContentLengthInResponse: "invalid_content_length_field_in_response"
    case .duplicateContentLengthInRequest: "duplicate_content_length_field_in_request"
    case .duplicateContentLengthInResponse: "duplicate_content_length_field_in_response"
    case .continueAlreadySeen: "100_continue_already_seen"
    case .unableToMatchResponseToRequest: "unable_to_match_response_to_request"
    case .invalidServerPortInRequest: "invalid_server_port_in_request"
    case .invalidAuthorityPort: "invalid_authority_port"
    case .requestHeaderInvalid: "request_header_invalid"
    case .responseHeaderInvalid: "response_header_invalid"
    case .missingHostHeader: "missing_host_header"
    case .hostHeaderAmbiguous: "host_header_ambiguous"
    case .invalidRequestFieldFolding: "invalid_request_field_folding"
    case .invalidResponseFieldFolding: "invalid_response_field_folding"
    case .requestFieldTooLong: "request_field_too_long"
    case .responseFieldTooLong: "response_field_too_long"
    case .requestServerPortMismatch: "request_server_port_tcp_port_mismatch"
    case .requestURIHostInvalid: "request_uri_host_invalid"
    case .requestHeaderHostInvalid: "request_header_host_invalid"
    case .methodDelimiterNonCompliant: "method_delim_non_compliant"
    case .uriDelimiterNonCompliant: "uri_delim_non_compliant"
    case .requestLineLeadingWhitespace: "request_line_leading_whitespace"
    case .tooManyEncodingLayers: "too_many_encoding_layers"
    case .abnormalContentEncodingHeader: "abnormal_ce_header"
    case .requestAuthorizationUnrecognized: "request_auth_unrecognized"
    case .requestHeaderRepetition: "request_header_repetition"
    case .responseHeaderRepetition: "response_header_repetition"
    case .responseMultipartByteRanges: "response_multipart_byteranges"
    case .responseAbnormalTransferEncoding: "response_abnormal_transfer_encoding"
    case .responseChunkedOldProtocol: "response_chunked_old_proto"
    case .responseInvalidProtocol: "response_invalid_protocol"
    case .responseInvalidStatus: "response_invalid_status"
    case .requestLineIncomplete: "request_line_incomplete"
    case .doubleEncodedURI: "double_encoded_uri"
    case .requestLineInvalid: "request_line_invalid"
    case .requestBodyUnexpected: "request_body_unexpected"
    case .requestChunkExtension: "request_chunk_extension"
    case .requestLineMissingProtocol: "request_line_missing_protocol"
    case .tooManyTransactions: "too_many_transactions"
    case .failedProtocolChange: "failed_protocol_change"
    case .multipartGenericError: "multipart_generic_error"
    case .multipartNoFileData: "multipart_no_filedata"
    case .multipartInvalidHeader: "multipart_invalid_header"
    case .compressionBomb: "compression_bomb"
    case .compressionBombTimeLimit: "compression_bomb_time_limit"
    case .rangeInvalid: "range_invalid"
    case .lzmaMemoryLimitReached: "lzma_memlimit_reached"
    case .tooManyWarnings: "too_many_warnings"
    case .fileNameTooLong: "file_name_too_long"
    case .requestTooManyHeaders: "request_too_many_headers"
    case .responseTooManyHeaders: "response_too_many_headers"
    }
  }
}
