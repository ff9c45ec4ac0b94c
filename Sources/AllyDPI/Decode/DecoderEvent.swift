/// What is wrong or odd about a packet's headers.
///
/// Rules ask for these with `decode-event:NAME`; the names are those that rule sets in use already carry.
enum DecoderEvent: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// A frame that was cut when it was captured; the operating system's capture alone does that.
  case afpacketTruncatedPacket
  case chdlcPacketTooSmall
  case dcePacketTooSmall
  case erspanHeaderTooSmall
  case erspanTooManyVlanLayers
  case erspanUnsupportedVersion
  case espPacketTooSmall
  case ethernetPacketTooSmall
  case geneveUnknownPayloadType
  case grePacketTooSmall
  case greVersion0Flags
  case greVersion0HeaderTooBig
  case greVersion0MalformedSREHeader
  case greVersion0Recursion
  case greVersion1Checksum
  case greVersion1Flags
  case greVersion1HeaderTooBig
  /// Never: a version 1 header with routing is refused before.
  case greVersion1MalformedSREHeader
  case greVersion1NoKey
  case greVersion1Recursion
  case greVersion1Route
  case greVersion1SSR
  case greVersion1WrongProtocol
  case greWrongVersion
  case icmpv4IPv4TruncatedPacket
  case icmpv4IPv4UnknownVersion
  case icmpv4PacketTooSmall
  case icmpv4UnknownCode
  case icmpv4UnknownType
  case icmpv6ExperimentationType
  case icmpv6IPv6TruncatedPacket
  case icmpv6IPv6UnknownVersion
  case icmpv6MLDMessageWithInvalidHopLimit
  case icmpv6PacketTooSmall
  case icmpv6UnassignedType
  case icmpv6UnknownCode
  case icmpv6UnknownType
  case ieee8021ahHeaderTooSmall
  case ipRawInvalidIPVersion
  case ipv4FragmentIgnored
  case ipv4FragmentOverlap
  case ipv4FragmentPacketTooLarge
  case ipv4HeaderLengthTooSmall
  case ipv4ICMPv6
  case ipv4LengthFieldSmallerThanHeaderLength
  case ipv4OptionDuplicate
  case ipv4OptionEndOfListRequired
  case ipv4OptionInvalid
  case ipv4OptionInvalidLength
  case ipv4OptionMalformed
  case ipv4OptionPadRequired
  case ipv4OptionUnknown
  case ipv4PacketTooSmall
  case ipv4TruncatedPacket
  case ipv4WrongIPVersion
  case ipv6DataAfterNoneHeader
  case ipv6DestinationOptionsOnlyPadding
  case ipv6DestinationOptionsUnknownOption
  case ipv6ExtensionHeaderAHReservedNotNull
  case ipv6ExtensionHeaderDuplicateAH
  case ipv6ExtensionHeaderDuplicateDestinationOptions
  /// Never: nothing can be read behind the first.
  case ipv6ExtensionHeaderDuplicateESP
  case ipv6ExtensionHeaderDuplicateFragmentHeader
  case ipv6ExtensionHeaderDuplicateHopByHop
  case ipv6ExtensionHeaderDuplicateRoutingHeader
  case ipv6ExtensionHeaderInvalidOptionLength
  case ipv6ExtensionHeaderUselessFragmentHeader
  case ipv6FragmentHeaderNonZeroReservedField
  case ipv6FragmentIgnored
  case ipv6FragmentInvalidLength
  case ipv6FragmentOverlap
  case ipv6FragmentPacketTooLarge
  case ipv6HopByHopOptionsOnlyPadding
  case ipv6HopByHopOptionsUnknownOption
  case ipv6ICMPv4
  case ipv6IPv4InIPv6TooSmall
  case ipv6IPv4InIPv6WrongVersion
  case ipv6IPv6InIPv6TooSmall
  case ipv6IPv6InIPv6WrongVersion
  case ipv6PacketTooSmall
  case ipv6RoutingHeaderType0
  case ipv6TruncatedExtensionHeader
  case ipv6TruncatedPacket
  case ipv6UnknownNextHeader
  case ipv6WrongIPVersion
  case ipv6ZeroLengthPadN
  case nullPacketTooSmall
  case nullUnsupportedType
  case mplsBadLabelImplicitNull
  case mplsBadLabelReserved
  case mplsBadLabelRouterAlert
  case mplsHeaderTooSmall
  case mplsPacketTooSmall
  case mplsUnknownPayloadType
  case pppIPv4PacketTooSmall
  case pppIPv6PacketTooSmall
  case pppPacketTooSmall
  case pppUnsupportedProtocol
  case pppVJUncompressedPacketTooSmall
  case pppWrongType
  case pppoeMalformedTags
  case pppoePacketTooSmall
  case pppoeWrongCode
  case sctpPacketTooSmall
  case sllPacketTooSmall
  case tooManyLayers
  case tcpHeaderLengthTooSmall
  case tcpInvalidOptionLength
  case tcpOptionDuplicate
  case tcpOptionInvalidLength
  case tcpPacketTooSmall
  case udpHeaderLengthTooSmall
  case udpLengthInvalid
  case udpPacketTooSmall
  case vlanHeaderTooSmall
  case vlanTooManyLayers
  case vlanUnknownType
  case vntagHeaderTooSmall
  case vntagUnknownType

  /// The name that rules use.
  var name: StaticString {
    switch self {
    case .afpacketTruncatedPacket: "afpacket.trunc_pkt"
    case .chdlcPacketTooSmall: "chdlc.pkt_too_small"
    case .dcePacketTooSmall: "dce.pkt_too_small"
    case .erspanHeaderTooSmall: "erspan.header_too_small"
    case .erspanTooManyVlanLayers: "erspan.too_many_vlan_layers"
    case .erspanUnsupportedVersion: "erspan.unsupported_version"
    case .espPacketTooSmall: "esp.pkt_too_small"
    case .ethernetPacketTooSmall: "ethernet.pkt_too_small"
    case .geneveUnknownPayloadType: "geneve.unknown_payload_type"
    case .grePacketTooSmall: "gre.pkt_too_small"
    case .greVersion0Flags: "gre.version0_flags"
    case .greVersion0HeaderTooBig: "gre.version0_hdr_too_big"
    case .greVersion0MalformedSREHeader: "gre.version0_malformed_sre_hdr"
    case .greVersion0Recursion: "gre.version0_recur"
    case .greVersion1Checksum: "gre.version1_chksum"
    case .greVersion1Flags: "gre.version1_flags"
    case .greVersion1HeaderTooBig: "gre.version1_hdr_too_big"
    case .greVersion1MalformedSREHeader: "gre.version1_malformed_sre_hdr"
    case .greVersion1NoKey: "gre.version1_no_key"
    case .greVersion1Recursion: "gre.version1_recur"
    case .greVersion1Route: "gre.version1_route"
    case .greVersion1SSR: "gre.version1_ssr"
    case .greVersion1WrongProtocol: "gre.version1_wrong_protocol"
    case .greWrongVersion: "gre.wrong_version"
    case .icmpv4IPv4TruncatedPacket: "icmpv4.ipv4_trunc_pkt"
    case .icmpv4IPv4UnknownVersion: "icmpv4.ipv4_unknown_ver"
    case .icmpv4PacketTooSmall: "icmpv4.pkt_too_small"
    case .icmpv4UnknownCode: "icmpv4.unknown_code"
    case .icmpv4UnknownType: "icmpv4.unknown_type"
    case .icmpv6ExperimentationType: "icmpv6.experimentation_type"
    case .icmpv6IPv6TruncatedPacket: "icmpv6.ipv6_trunc_pkt"
    case .icmpv6IPv6UnknownVersion: "icmpv6.ipv6_unknown_version"
    case .icmpv6MLDMessageWithInvalidHopLimit: "icmpv6.mld_message_with_invalid_hl"
    case .icmpv6PacketTooSmall: "icmpv6.pkt_too_small"
    case .icmpv6UnassignedType: "icmpv6.unassigned_type"
    case .icmpv6UnknownCode: "icmpv6.unknown_code"
    case .icmpv6UnknownType: "icmpv6.unknown_type"
    case .ieee8021ahHeaderTooSmall: "ieee8021ah.header_too_small"
    case .ipRawInvalidIPVersion: "ipraw.invalid_ip_version"
    case .ipv4FragmentIgnored: "ipv4.frag_ignored"
    case .ipv4FragmentOverlap: "ipv4.frag_overlap"
    case .ipv4FragmentPacketTooLarge: "ipv4.frag_pkt_too_large"
    case .ipv4HeaderLengthTooSmall: "ipv4.hlen_too_small"
    case .ipv4ICMPv6: "ipv4.icmpv6"
    case .ipv4LengthFieldSmallerThanHeaderLength: "ipv4.iplen_smaller_than_hlen"
    case .ipv4OptionDuplicate: "ipv4.opt_duplicate"
    case .ipv4OptionEndOfListRequired: "ipv4.opt_eol_required"
    case .ipv4OptionInvalid: "ipv4.opt_invalid"
    case .ipv4OptionInvalidLength: "ipv4.opt_invalid_len"
    case .ipv4OptionMalformed: "ipv4.opt_malformed"
    case .ipv4OptionPadRequired: "ipv4.opt_pad_required"
    case .ipv4OptionUnknown: "ipv4.opt_unknown"
    case .ipv4PacketTooSmall: "ipv4.pkt_too_small"
    case .ipv4TruncatedPacket: "ipv4.trunc_pkt"
    case .ipv4WrongIPVersion: "ipv4.wrong_ip_version"
    case .ipv6DataAfterNoneHeader: "ipv6.data_after_none_header"
    case .ipv6DestinationOptionsOnlyPadding: "ipv6.dstopts_only_padding"
    case .ipv6DestinationOptionsUnknownOption: "ipv6.dstopts_unknown_opt"
    case .ipv6ExtensionHeaderAHReservedNotNull: "ipv6.exthdr_ah_res_not_null"
    case .ipv6ExtensionHeaderDuplicateAH: "ipv6.exthdr_dupl_ah"
    case .ipv6ExtensionHeaderDuplicateDestinationOptions: "ipv6.exthdr_dupl_dh"
    case .ipv6ExtensionHeaderDuplicateESP: "ipv6.exthdr_dupl_eh"
    case .ipv6ExtensionHeaderDuplicateFragmentHeader: "ipv6.exthdr_dupl_fh"
    case .ipv6ExtensionHeaderDuplicateHopByHop: "ipv6.exthdr_dupl_hh"
    case .ipv6ExtensionHeaderDuplicateRoutingHeader: "ipv6.exthdr_dupl_rh"
    case .ipv6ExtensionHeaderInvalidOptionLength: "ipv6.exthdr_invalid_optlen"
    case .ipv6ExtensionHeaderUselessFragmentHeader: "ipv6.exthdr_useless_fh"
    case .ipv6FragmentHeaderNonZeroReservedField: "ipv6.fh_non_zero_reserved_field"
    case .ipv6FragmentIgnored: "ipv6.frag_ignored"
    case .ipv6FragmentInvalidLength: "ipv6.frag_invalid_length"
    case .ipv6FragmentOverlap: "ipv6.frag_overlap"
    case .ipv6FragmentPacketTooLarge: "ipv6.frag_pkt_too_large"
    case .ipv6HopByHopOptionsOnlyPadding: "ipv6.hopopts_only_padding"
    case .ipv6HopByHopOptionsUnknownOption: "ipv6.hopopts_unknown_opt"
    case .ipv6ICMPv4: "ipv6.icmpv4"
    case .ipv6IPv4InIPv6TooSmall: "ipv6.ipv4_in_ipv6_too_small"
    case .ipv6IPv4InIPv6WrongVersion: "ipv6.ipv4_in_ipv6_wrong_version"
    case .ipv6IPv6InIPv6TooSmall: "ipv6.ipv6_in_ipv6_too_small"
    case .ipv6IPv6InIPv6WrongVersion: "ipv6.ipv6_in_ipv6_wrong_version"
    case .ipv6PacketTooSmall: "ipv6.pkt_too_small"
    case .ipv6RoutingHeaderType0: "ipv6.rh_type_0"
    case .ipv6TruncatedExtensionHeader: "ipv6.trunc_exthdr"
    case .ipv6TruncatedPacket: "ipv6.trunc_pkt"
    case .ipv6UnknownNextHeader: "ipv6.unknown_next_header"
    case .ipv6WrongIPVersion: "ipv6.wrong_ip_version"
    case .ipv6ZeroLengthPadN: "ipv6.zero_len_padn"
    case .nullPacketTooSmall: "ltnull.pkt_too_small"
    case .nullUnsupportedType: "ltnull.unsupported_type"
    case .mplsBadLabelImplicitNull: "mpls.bad_label_implicit_null"
    case .mplsBadLabelReserved: "mpls.bad_label_reserved"
    case .mplsBadLabelRouterAlert: "mpls.bad_label_router_alert"
    case .mplsHeaderTooSmall: "mpls.header_too_small"
    case .mplsPacketTooSmall: "mpls.pkt_too_small"
    case .mplsUnknownPayloadType: "mpls.unknown_payload_type"
    case .pppIPv4PacketTooSmall: "ppp.ip4_pkt_too_small"
    case .pppIPv6PacketTooSmall: "ppp.ip6_pkt_too_small"
    case .pppPacketTooSmall: "ppp.pkt_too_small"
    case .pppUnsupportedProtocol: "ppp.unsup_proto"
    case .pppVJUncompressedPacketTooSmall: "ppp.vju_pkt_too_small"
    case .pppWrongType: "ppp.wrong_type"
    case .pppoeMalformedTags: "pppoe.malformed_tags"
    case .pppoePacketTooSmall: "pppoe.pkt_too_small"
    case .pppoeWrongCode: "pppoe.wrong_code"
    case .sctpPacketTooSmall: "sctp.pkt_too_small"
    case .tooManyLayers: "too_many_layers"
    case .sllPacketTooSmall: "sll.pkt_too_small"
    case .tcpHeaderLengthTooSmall: "tcp.hlen_too_small"
    case .tcpInvalidOptionLength: "tcp.invalid_optlen"
    case .tcpOptionDuplicate: "tcp.opt_duplicate"
    case .tcpOptionInvalidLength: "tcp.opt_invalid_len"
    case .tcpPacketTooSmall: "tcp.pkt_too_small"
    case .udpHeaderLengthTooSmall: "udp.hlen_too_small"
    case .udpLengthInvalid: "udp.len_invalid"
    case .udpPacketTooSmall: "udp.pkt_too_small"
    case .vlanHeaderTooSmall: "vlan.header_too_small"
    case .vlanTooManyLayers: "vlan.too_many_layers"
    case .vlanUnknownType: "vlan.unknown_type"
    case .vntagHeaderTooSmall: "vntag.header_too_small"
    case .vntagUnknownType: "vntag.unknown_type"
    }
  }
}
