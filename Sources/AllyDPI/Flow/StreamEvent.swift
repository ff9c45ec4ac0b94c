/// What is wrong or odd about a TCP packet in the light of its connection.
///
/// Rules ask for these with `stream-event:NAME`; the names are those that rule sets in use already carry.
enum StreamEvent: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  case threeWayHandshakeACKDataInject
  case threeWayHandshakeACKInWrongDirection
  case threeWayHandshakeAsyncWrongSequence
  case threeWayHandshakeRightSequenceWrongACKEvasion
  case threeWayHandshakeSYNResendDifferentSequenceOnSYNRecv
  case threeWayHandshakeSYNToClientOnSYNRecv
  case threeWayHandshakeSYNACKInWrongDirection
  case threeWayHandshakeSYNACKResendWithDifferentACK
  case threeWayHandshakeSYNACKResendWithDifferentSequence
  case threeWayHandshakeSYNACKTFODataIgnored
  case threeWayHandshakeSYNACKFlood
  case threeWayHandshakeSYNFlood
  case threeWayHandshakeSYNACKToServerOnSYNRecv
  case threeWayHandshakeSYNACKWithWrongACK
  case threeWayHandshakeWrongSequenceWrongACK
  case fourWayHandshakeInvalidACK
  case fourWayHandshakeSYNACKWithWrongACK
  case fourWayHandshakeSYNACKWithWrongSYN
  case fourWayHandshakeWrongSequence
  case closeWaitACKOutOfWindow
  case closeWaitFINOutOfWindow
  case closeWaitInvalidACK
  case closeWaitPacketBeforeLastACK
  case closingACKWrongSequence
  case closingInvalidACK
  case establishedInvalidACK
  case establishedPacketOutOfWindow
  case establishedPacketBeforeLastACK
  case establishedSYNResend
  case establishedSYNResendDifferentSequence
  case establishedSYNToClient
  case establishedSYNACKResend
  case establishedSYNACKResendWithDifferentACK
  case establishedSYNACKResendWithDifferentSequence
  case establishedSYNACKToServer
  case finWait1ACKWrongSequence
  case finWait1FINWrongSequence
  case finWait1InvalidACK
  case finWait2ACKWrongSequence
  case finWait2FINWrongSequence
  case finWait2InvalidACK
  case finButNoSession
  case finInvalidACK
  case finOutOfWindow
  case finSYN
  case lastACKACKWrongSequence
  case lastACKInvalidACK
  case packetBadWindowUpdate
  case packetBrokenACK
  case packetInvalidACK
  case packetInvalidTimestamp
  case packetRetransmission
  case packetSpuriousRetransmission
  case reassemblyDepthReached
  case reassemblyInsertLimit
  case reassemblyInsertMemoryCap
  case reassemblyOverlapDifferentData
  case reassemblySegmentBeforeBaseSequence
  case reassemblySequenceGap
  /// More urgent bytes than are followed.
  case reassemblyUrgentLimitReached
  case rstButNoSession
  case rstInvalidACK
  case rstWithData
  case shutdownSYNResend
  case suspectedRSTInject
  case timeWaitACKWrongSequence
  case timeWaitInvalidACK
  /// Never: a flow has one core.
  case wrongThread

  /// The name that rules use.
  var name: StaticString {
    switch self {
    case .threeWayHandshakeACKDataInject: "3whs_ack_data_inject"
    case .threeWayHandshakeACKInWrongDirection: "3whs_ack_in_wrong_dir"
    case .threeWayHandshakeAsyncWrongSequence: "3whs_async_wrong_seq"
    case .threeWayHandshakeRightSequenceWrongACKEvasion: "3whs_right_seq_wrong_ack_evasion"
    case .threeWayHandshakeSYNResendDifferentSequenceOnSYNRecv: "3whs_syn_resend_diff_seq_on_syn_recv"
    case .threeWayHandshakeSYNToClientOnSYNRecv: "3whs_syn_toclient_on_syn_recv"
    case .threeWayHandshakeSYNACKInWrongDirection: "3whs_synack_in_wrong_direction"
    case .threeWayHandshakeSYNACKResendWithDifferentACK: "3whs_synack_resend_with_different_ack"
    case .threeWayHandshakeSYNACKResendWithDifferentSequence: "3whs_synack_resend_with_diff_seq"
    case .threeWayHandshakeSYNACKTFODataIgnored: "3whs_synack_tfo_data_ignored"
    case .threeWayHandshakeSYNACKFlood: "3whs_synack_flood"
    case .threeWayHandshakeSYNFlood: "3whs_syn_flood"
    case .threeWayHandshakeSYNACKToServerOnSYNRecv: "3whs_synack_toserver_on_syn_recv"
    case .threeWayHandshakeSYNACKWithWrongACK: "3whs_synack_with_wrong_ack"
    case .threeWayHandshakeWrongSequenceWrongACK: "3whs_wrong_seq_wrong_ack"
    case .fourWayHandshakeInvalidACK: "4whs_invalid_ack"
    case .fourWayHandshakeSYNACKWithWrongACK: "4whs_synack_with_wrong_ack"
    case .fourWayHandshakeSYNACKWithWrongSYN: "4whs_synack_with_wrong_syn"
    case .fourWayHandshakeWrongSequence: "4whs_wrong_seq"
    case .closeWaitACKOutOfWindow: "closewait_ack_out_of_window"
    case .closeWaitFINOutOfWindow: "closewait_fin_out_of_window"
    case .closeWaitInvalidACK: "closewait_invalid_ack"
    case .closeWaitPacketBeforeLastACK: "closewait_pkt_before_last_ack"
    case .closingACKWrongSequence: "closing_ack_wrong_seq"
    case .closingInvalidACK: "closing_invalid_ack"
    case .establishedInvalidACK: "est_invalid_ack"
    case .establishedPacketOutOfWindow: "est_packet_out_of_window"
    case .establishedPacketBeforeLastACK: "est_pkt_before_last_ack"
    case .establishedSYNResend: "est_syn_resend"
    case .establishedSYNResendDifferentSequence: "est_syn_resend_diff_seq"
    case .establishedSYNToClient: "est_syn_toclient"
    case .establishedSYNACKResend: "est_synack_resend"
    case .establishedSYNACKResendWithDifferentACK: "est_synack_resend_with_different_ack"
    case .establishedSYNACKResendWithDifferentSequence: "est_synack_resend_with_diff_seq"
    case .establishedSYNACKToServer: "est_synack_toserver"
    case .finWait1ACKWrongSequence: "fin1_ack_wrong_seq"
    case .finWait1FINWrongSequence: "fin1_fin_wrong_seq"
    case .finWait1InvalidACK: "fin1_invalid_ack"
    case .finWait2ACKWrongSequence: "fin2_ack_wrong_seq"
    case .finWait2FINWrongSequence: "fin2_fin_wrong_seq"
    case .finWait2InvalidACK: "fin2_invalid_ack"
    case .finButNoSession: "fin_but_no_session"
    case .finInvalidACK: "fin_invalid_ack"
    case .finOutOfWindow: "fin_out_of_window"
    case .finSYN: "fin_syn"
    case .lastACKACKWrongSequence: "lastack_ack_wrong_seq"
    case .lastACKInvalidACK: "lastack_invalid_ack"
    case .packetBadWindowUpdate: "pkt_bad_window_update"
    case .packetBrokenACK: "pkt_broken_ack"
    case .packetInvalidACK: "pkt_invalid_ack"
    case .packetInvalidTimestamp: "pkt_invalid_timestamp"
    case .packetRetransmission: "pkt_retransmission"
    case .packetSpuriousRetransmission: "pkt_spurious_retransmission"
    case .reassemblyDepthReached: "reassembly_depth_reached"
    case .reassemblyInsertLimit: "reassembly_insert_limit"
    case .reassemblyInsertMemoryCap: "reassembly_insert_memcap"
    case .reassemblyOverlapDifferentData: "reassembly_overlap_different_data"
    case .reassemblySegmentBeforeBaseSequence: "reassembly_segment_before_base_seq"
    case .reassemblySequenceGap: "reassembly_seq_gap"
    case .reassemblyUrgentLimitReached: "reassembly_urgent_oob_limit_reached"
    case .rstButNoSession: "rst_but_no_session"
    case .rstInvalidACK: "rst_invalid_ack"
    case .rstWithData: "rst_with_data"
    case .shutdownSYNResend: "shutdown_syn_resend"
    case .suspectedRSTInject: "suspected_rst_inject"
    case .timeWaitACKWrongSequence: "timewait_ack_wrong_seq"
    case .timeWaitInvalidACK: "timewait_invalid_ack"
    case .wrongThread: "wrong_thread"
    }
  }
}
