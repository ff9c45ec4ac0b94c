/// The events of the application parsers by their protocol's name, as Suricata names them.
enum ApplicationEventNames {
  /// - Parameter name: a protocol, as in front of the event's dot.
  static func of(_ name: String) -> Set<String> { names[name] ?? [] }

  private static let names: [String: Set<String>] = [
    "bittorrent-dht": [
      "malformed_packet"
    ],
    "dhcp": [
      "malformed_options", "truncated_options",
    ],
    "dns": [
      "infinite_loop", "invalid_opcode", "malformed_data", "name_too_long", "not_request", "not_response",
      "too_many_labels", "z_flag_set",
    ],
    "dnp3": [
      "bad_link_crc", "bad_transport_crc", "flooded", "len_too_small", "unknown_object",
    ],
    "modbus": [
      "flooded", "invalid_exception_code", "invalid_function_code", "invalid_length", "invalid_protocol_id",
      "invalid_value", "unsolicited_response", "value_mismatch",
    ],
    "ftp": [
      "request_command_too_long", "response_command_too_long",
    ],
    "http": [
      "100_continue_already_seen", "abnormal_ce_header", "compression_bomb", "double_encoded_uri",
      "duplicate_content_length_field_in_request", "duplicate_content_length_field_in_response",
      "failed_protocol_change", "file_name_too_long", "gzip_decompression_failed", "host_header_ambiguous",
      "invalid_authority_port", "invalid_content_length_field_in_request",
      "invalid_content_length_field_in_response", "invalid_request_chunk_len", "invalid_request_field_folding",
      "invalid_response_chunk_len", "invalid_response_field_folding", "invalid_server_port_in_request",
      "invalid_transfer_encoding_value_in_request", "invalid_transfer_encoding_value_in_response",
      "lzma_memlimit_reached", "method_delim_non_compliant", "missing_host_header", "multipart_generic_error",
      "multipart_invalid_header", "multipart_no_filedata", "range_invalid", "request_auth_unrecognized",
      "request_body_unexpected", "request_chunk_extension", "request_field_missing_colon", "request_field_too_long",
      "request_header_host_invalid", "request_header_invalid", "request_header_repetition",
      "request_line_incomplete", "request_line_invalid", "request_line_leading_whitespace",
      "request_line_missing_protocol", "request_server_port_tcp_port_mismatch", "request_too_many_headers",
      "request_uri_host_invalid", "response_abnormal_transfer_encoding", "response_chunk_extension",
      "response_chunked_old_proto", "response_field_missing_colon", "response_field_too_long",
      "response_header_invalid", "response_header_repetition", "response_invalid_protocol",
      "response_invalid_status", "response_multipart_byteranges", "response_too_many_headers",
      "too_many_encoding_layers", "too_many_warnings", "unable_to_match_response_to_request", "unknown_error",
      "uri_delim_non_compliant",
    ],
    "http2": [
      "authority_host_mismatch", "extra_header_data", "failed_decompression", "header_integer_overflow",
      "invalid_client_magic", "invalid_frame_data", "invalid_frame_header", "invalid_frame_length", "invalid_header",
      "invalid_http1_settings", "invalid_range", "long_frame_data", "reassembly_limit_reached", "stream_id_reuse",
      "too_many_streams", "userinfo_in_uri",
    ],
    "ike": [
      "invalid_proposal", "malformed_data", "multiple_server_proposal", "no_encryption", "unknown_proposal",
      "weak_crypto_auth", "weak_crypto_dh", "weak_crypto_enc", "weak_crypto_no_auth", "weak_crypto_no_dh",
      "weak_crypto_prf",
    ],
    "krb5": [
      "malformed_data", "weak_encryption",
    ],
    "mqtt": [
      "double_connect", "invalid_qos_level", "malformed_traffic", "missing_connect", "missing_msg_id",
      "missing_publish", "missing_subscribe", "missing_unsubscribe", "too_many_transactions", "unassigned_msg_type",
      "unintroduced_message",
    ],
    "nfs": [
      "malformed_data", "non_existing_version", "too_many_transactions", "unsupported_version",
    ],
    "ntp": [
      "malformed_data"
    ],
    "quic": [
      "crypto_frag_too_long", "error_on_data", "failed_decrypt",
    ],
    "rfb": [
      "confused_state", "malformed_message", "unimplemented_security_type", "unknown_security_result",
    ],
    "sip": [
      "incomplete_data", "invalid_data",
    ],
    "smb": [
      "file_overlap", "internal_error", "malformed_data", "malformed_ntlmssp_request",
      "negotiate_malformed_dialects", "negotiate_max_read_size_too_large", "negotiate_max_write_size_too_large",
      "read_queue_cnt_exceeded", "read_queue_size_exceeded", "read_request_too_large", "read_response_too_large",
      "record_overflow", "request_to_client", "response_to_server", "too_many_transactions",
      "write_queue_cnt_exceeded", "write_queue_size_exceeded", "write_request_too_large",
    ],
    "smtp": [
      "bdat_chunk_len_exceeded", "data_command_rejected", "duplicate_fields", "failed_protocol_change",
      "invalid_pipelined_sequence", "invalid_reply", "max_command_line_len_exceeded", "max_reply_line_len_exceeded",
      "mime_invalid_base64", "mime_invalid_qp", "mime_long_boundary", "mime_long_enc_line", "mime_long_filename",
      "mime_long_header_name", "mime_long_header_value", "mime_long_line", "mime_malformed_msg", "mime_parse_failed",
      "no_server_welcome_message", "tls_rejected", "truncated_line", "unable_to_match_reply_with_request",
      "unparsable_content",
    ],
    "snmp": [
      "malformed_data", "unknown_security_model", "version_mismatch",
    ],
    "ssh": [
      "invalid_banner", "invalid_record", "long_banner", "long_kex_record",
    ],
    "tls": [
      "certificate_invalid_algorithmidentifier", "certificate_invalid_date", "certificate_invalid_der",
      "certificate_invalid_extensions", "certificate_invalid_issuer", "certificate_invalid_length",
      "certificate_invalid_serial", "certificate_invalid_string", "certificate_invalid_subject",
      "certificate_invalid_validity", "certificate_invalid_version", "certificate_invalid_x509name",
      "certificate_missing_element", "certificate_unknown_element", "dataleak_heartbeat_mismatch",
      "error_message_encountered", "handshake_invalid_length", "heartbeat_message", "invalid_certificate",
      "invalid_handshake_message", "invalid_heartbeat_message", "invalid_record_type", "invalid_record_version",
      "invalid_sni_length", "invalid_sni_type", "invalid_ssl_record", "invalid_sslv2_header", "invalid_tls_header",
      "multiple_sni_extensions", "overflow_heartbeat_message", "too_many_records_in_packet",
    ],
  ]
}
