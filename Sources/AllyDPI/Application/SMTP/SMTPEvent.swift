/// What is odd about an SMTP conversation. The names are those that rules ask for as `app-layer-event:smtp.NAME`.
enum SMTPEvent: UInt8, CaseIterable, Sendable {
  case invalidReply, replyWithoutRequest, commandTooLong, replyTooLong, invalidPipelinedSequence, chunkLengthExceeded
  case noWelcome, tlsRejected, dataRejected, failedProtocolChange
  case mimeParseFailed, mimeMalformed, mimeInvalidBase64, mimeInvalidQuotedPrintable, mimeLongLine, mimeLongEncodedLine
  case mimeLongHeaderName, mimeLongHeaderValue, mimeLongBoundary, mimeLongFileName
  case duplicateFields, unparsableContent, truncatedLine

  var name: StaticString {
    switch self {
    case .invalidReply: "invalid_reply"
    case .replyWithoutRequest: "unable_to_match_reply_with_request"
    case .commandTooLong: "max_command_line_len_exceeded"
    case .replyTooLong: "max_reply_line_len_exceeded"
    case .invalidPipelinedSequence: "invalid_pipelined_sequence"
    case .chunkLengthExceeded: "bdat_chunk_len_exceeded"
    case .noWelcome: "no_server_welcome_message"
    case .tlsRejected: "tls_rejected"
    case .dataRejected: "data_command_rejected"
    case .failedProtocolChange: "failed_protocol_change"
    case .mimeParseFailed: "mime_parse_failed"
    case .mimeMalformed: "mime_malformed_msg"
    case .mimeInvalidBase64: "mime_invalid_base64"
    case .mimeInvalidQuotedPrintable: "mime_invalid_qp"
    case .mimeLongLine: "mime_long_line"
    case .mimeLongEncodedLine: "mime_long_enc_line"
    case .mimeLongHeaderName: "mime_long_header_name"
    case .mimeLongHeaderValue: "mime_long_header_value"
    case .mimeLongBoundary: "mime_long_boundary"
    case .mimeLongFileName: "mime_long_filename"
    case .duplicateFields: "duplicate_fields"
    case .unparsableContent: "unparsable_content"
    case .truncatedLine: "truncated_line"
    }
  }

  /// What a mail's reader notes.
  static let ofMail: [(MIMEEvents, SMTPEvent)] = [
    (.invalidBase64, .mimeInvalidBase64), (.invalidQuotedPrintable, .mimeInvalidQuotedPrintable),
    (.longLine, .mimeLongLine), (.longEncodedLine, .mimeLongEncodedLine), (.longHeaderName, .mimeLongHeaderName),
    (.longHeaderValue, .mimeLongHeaderValue), (.malformedMessage, .mimeMalformed), (.longBoundary, .mimeLongBoundary),
    (.longFileName, .mimeLongFileName),
  ]
}
