/// `"ike":{…}`.
extension IKETransaction {
  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    write(to: &json, isExtended: options.extended.contains(.ike))
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) { write(to: &json, isExtended: true) }

  private func write(to json: inout JSONWriter, isExtended: Bool) {
    json.key("ike")
    json.beginObject()
    json.key("version_major")
    json.number(message.majorVersion)
    json.key("version_minor")
    json.number(message.minorVersion)
    for (name, value) in [("init_spi" as StaticString, message.initiator), ("resp_spi", message.responder)] {
      json.key(name)
      json.string { text in
        for shift in stride(from: 60, through: 0, by: -4) {
          text.append(hexadecimalDigit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15))
        }
      }
    }
    json.key("message_id")
    json.number(message.messageID)
    json.key("exchange_type")
    json.number(message.exchange)
    if isExtended, message.majorVersion == 1, let name = IKENames.exchange(message.exchange) {
      json.key("exchange_type_verbose")
      json.string(name)
    }
    if message.majorVersion == 1 { write(agreement.chosen, to: &json) } else { writeRole(to: &json) }
    json.key("payload")
    json.beginArray()
    var seen: [UInt8] = []
    for type in message.payloads where !seen.contains(type) {
      seen.append(type)
      json.string(IKENames.payload(type, version: message.majorVersion))
    }
    json.endArray()
    if message.majorVersion == 1 { writeVersion1(to: &json) } else { writeVersion2(to: &json) }
    json.endObject()
  }

  private func writeVersion1(to json: inout JSONWriter) {
    json.key("ikev1")
    json.beginObject()
    if let domain = agreement.domain {
      json.key("doi")
      json.number(domain)
    }
    json.key("encrypted_payloads")
    json.bool(message.isEncrypted)
    if !message.isEncrypted {
      for (name, said, proposes) in [
        ("client" as StaticString, agreement.client, !agreement.hasShownProposals), ("server", agreement.server, false),
      ] {
        json.key(name)
        json.beginObject()
        write("key_exchange_payload", "key_exchange_payload_length", said.keyExchange, to: &json)
        write("nonce_payload", "nonce_payload_length", said.nonce, to: &json)
        if proposes && !said.proposals.isEmpty {
          json.key("proposals")
          json.beginArray()
          for proposal in said.proposals {
            json.beginObject()
            write(proposal, to: &json)
            json.endObject()
          }
          json.endArray()
        }
        json.endObject()
      }
      json.key("vendor_ids")
      json.beginArray()
      for vendor in message.vendors { json.text(IKETransaction.digits(vendor)[...]) }
      json.endArray()
    }
    json.endObject()
  }

  /// Who speaks in version 2; the responder has chosen.
  private func writeRole(to json: inout JSONWriter) {
    let isInitiator = message.flags & 0x08 != 0
    json.key("role")
    json.string(isInitiator ? "initiator" : "responder")
    if isInitiator { return }
    for (type, value) in agreement.chosen {
      guard let (key, names) = IKENames.algorithms[type] else { continue }
      json.key(key)
      json.string(names[value].map { "\($0)" } ?? "\(value)")
    }
  }

  private func writeVersion2(to json: inout JSONWriter) {
    json.key("ikev2")
    json.beginObject()
    json.key("errors")
    json.number(UInt64(message.isMalformed ? 1 : 0))
    json.key("notify")
    json.beginArray()
    for number in message.notifications { json.string(IKENames.notifications[number].map { "\($0)" } ?? "\(number)") }
    json.endArray()
    json.endObject()
  }

  private func write(_ name: StaticString, _ length: StaticString, _ bytes: [UInt8], to json: inout JSONWriter) {
    if bytes.isEmpty { return }
    json.key(name)
    json.text(IKETransaction.digits(bytes)[...])
    json.key(length)
    json.number(UInt64(bytes.count))
  }

  /// Each attribute by its name, with the value's name and number.
  private func write(_ transform: IKEMessage.Transform, to json: inout JSONWriter) {
    for (type, value) in transform {
      guard let name = IKENames.attributes[type] else { continue }
      json.key(name)
      json.string(IKENames.value(value, of: type))
      json.key("\(name)_raw")
      json.number(value)
    }
  }
}

/// Names that records and rules have.
enum IKENames {
  /// Exchanges of version 1 (RFC 2408 §3.1).
  static func exchange(_ type: UInt8) -> StaticString? {
    switch type {
    case 0: "None"
    case 1: "Base"
    case 2: "Identity Protection"
    case 3: "Authentication Only"
    case 4: "Aggressive"
    case 5: "Informational"
    case 32: "Quick Mode"
    case 33: "New Group Mode"
    default: nil
    }
  }

  /// Attributes of version 1 (RFC 2409, Appendix A).
  static let attributes: [UInt16: StaticString] = [
    1: "alg_enc", 2: "alg_hash", 3: "alg_auth", 4: "alg_dh", 5: "sa_group_type", 11: "sa_life_type",
    12: "sa_life_duration", 13: "alg_prf", 14: "sa_key_length", 15: "sa_field_size",
  ]

  static func value(_ value: UInt32, of attribute: UInt16) -> StaticString {
    values[attribute]?[value] ?? "Unknown"
  }

  private static let values: [UInt16: [UInt32: StaticString]] = [
    1: [
      1: "EncDesCbc", 2: "EncIdeaCbc", 3: "EncBlowfishCbc", 4: "EncRc5R16B64Cbc", 5: "EncTripleDesCbc", 6: "EncCastCbc",
      7: "EncAesCbc", 8: "EncCamelliaCbc",
    ],
    2: [1: "HashMd5", 2: "HashSha", 3: "HashTiger", 4: "HashSha2_256", 5: "HashSha2_384", 6: "HashSha2_512"],
    3: [
      1: "AuthPreSharedKey", 2: "AuthDssSignatures", 3: "AuthRsaSignatures", 4: "AuthEncryptionWithRsa",
      5: "AuthRevisedEncryptionWithRsa",
    ],
    4: [
      1: "GroupDefault768BitModp", 2: "GroupAlternate1024BitModpGroup", 3: "GroupEC2NOnGP2p155",
      4: "GroupEC2NOnGP2p185", 5: "GroupAlternate1536BitModp", 14: "Group2048BitModp", 15: "Group3072BitModp",
      16: "Group4096BitModp", 17: "Group6144BitModp", 18: "Group8192BitModp",
    ],
    11: [1: "LifeTypeSeconds", 2: "LifeTypeKilobytes"],
  ]

  /// Kinds of algorithms of version 2 and their names (RFC 7296 §3.3.2).
  static let algorithms: [UInt16: (key: StaticString, names: [UInt32: StaticString])] = [
    1: (
      "alg_enc",
      [
        1: "ENCR_DES_IV64", 2: "ENCR_DES", 3: "ENCR_3DES", 4: "ENCR_RC5", 5: "ENCR_IDEA", 6: "ENCR_CAST",
        7: "ENCR_BLOWFISH", 8: "ENCR_3IDEA", 9: "ENCR_DES_IV32", 11: "ENCR_NULL", 12: "ENCR_AES_CBC",
        13: "ENCR_AES_CTR", 14: "ENCR_AES_CCM_8", 15: "ENCR_AES_CCM_12", 16: "ENCR_AES_CCM_16",
        18: "ENCR_AES_GCM_8", 19: "ENCR_AES_GCM_12", 20: "ENCR_AES_GCM_16",
      ]
    ),
    2: (
      "alg_prf",
      [
        1: "PRF_HMAC_MD5", 2: "PRF_HMAC_SHA1", 3: "PRF_HMAC_TIGER", 4: "PRF_AES128_XCBC", 5: "PRF_HMAC_SHA2_256",
        6: "PRF_HMAC_SHA2_384", 7: "PRF_HMAC_SHA2_512",
      ]
    ),
    3: (
      "alg_auth",
      [
        0: "NONE", 1: "AUTH_HMAC_MD5_96", 2: "AUTH_HMAC_SHA1_96", 3: "AUTH_DES_MAC", 4: "AUTH_KPDK_MD5",
        5: "AUTH_AES_XCBC_96", 12: "AUTH_HMAC_SHA2_256_128", 13: "AUTH_HMAC_SHA2_384_192",
        14: "AUTH_HMAC_SHA2_512_256",
      ]
    ),
    4: (
      "alg_dh",
      [
        0: "None", 1: "Modp768", 2: "Modp1024", 5: "Modp1536", 14: "Modp2048", 15: "Modp3072", 16: "Modp4096",
        17: "Modp6144", 18: "Modp8192", 19: "Ecp256", 20: "Ecp384", 21: "Ecp521",
      ]
    ),
    5: ("alg_esn", [0: "NoESN", 1: "ESN"]),
  ]

  static func payload(_ type: UInt8, version: UInt8) -> StaticString {
    (version == 1 ? payloads1 : payloads2)[type] ?? "Unknown"
  }

  private static let payloads1: [UInt8: StaticString] = [
    1: "SecurityAssociation", 2: "Proposal", 3: "Transform", 4: "KeyExchange", 5: "Identification", 6: "Certificate",
    7: "CertificateRequest", 8: "Hash", 9: "Signature", 10: "Nonce", 11: "Notification", 12: "Delete", 13: "VendorID",
    20: "NatDiscovery", 21: "NatOriginalAddress",
  ]

  private static let payloads2: [UInt8: StaticString] = [
    33: "SecurityAssociation", 34: "KeyExchange", 35: "IDInitiator", 36: "IDResponder", 37: "Certificate",
    38: "CertificateRequest", 39: "Authentication", 40: "Nonce", 41: "Notify", 42: "Delete", 43: "VendorID",
    44: "TrafficSelectorInitiator", 45: "TrafficSelectorResponder", 46: "EncryptedAndAuthenticated",
    47: "Configuration", 48: "ExtensibleAuthentication", 53: "EncryptedFragment",
  ]

  /// Of version 2 (RFC 7296 §3.10.1).
  static let notifications: [UInt16: StaticString] = [
    7: "INVALID_SYNTAX", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 24: "AUTHENTICATION_FAILED",
    16_388: "NAT_DETECTION_SOURCE_IP", 16_389: "NAT_DETECTION_DESTINATION_IP", 16_390: "COOKIE",
    16_403: "REKEY_SA", 16_404: "MOBIKE_SUPPORTED", 16_406: "REDIRECT_SUPPORTED",
    16_430: "IKEV2_FRAGMENTATION_SUPPORTED", 16_431: "SIGNATURE_HASH_ALGORITHMS",
  ]
}
