/// Values that rules look up in, or add to: `dataset`.
public struct DataSetMatch: Sendable, Equatable {
  public enum Action: String, Sendable {
    /// Condition: the buffer's value is in the set.
    case isSet = "isset"
    /// Condition: it is not.
    case isNotSet = "isnotset"
    /// Done when all else matches: it is put into the set. A value that is there already does not match.
    case set
    /// Done when all else matches: it is taken out of the set.
    case unset
  }
  public enum Kind: String, Sendable, CaseIterable {
    case string, md5, sha256, ipv4, ip
  }
  public var view: BufferView
  public var action: Action
  public var name: String
  /// nil when another rule, or the configuration, says it.
  public var kind: Kind?
  /// File that holds the values at the start.
  public var load: String? = nil
  /// File that is written at the end.
  public var save: String? = nil
  /// Bytes.
  public var memoryCap: UInt64? = nil
  public var hashSize: UInt32? = nil
}

/// `datarep`: values with a reputation.
public struct DataReputationMatch: Sendable, Equatable {
  public var view: BufferView
  public var name: String
  public var kind: DataSetMatch.Kind
  public var reputation: NumberMatch
  public var load: String? = nil
  public var memoryCap: UInt64? = nil
  public var hashSize: UInt32? = nil
}

/// One entry of `datasets` in the settings.
public struct DataSetSetting: Sendable {
  public var name: String
  public var kind: DataSetMatch.Kind
  /// File that the set is read from, as it is at the start; nil for none, or when it is not there yet.
  public var contents: [UInt8]?
  /// File that it is written to at the end.
  public var save: String?
  public var memoryCap: UInt64?

  public init(name: String, kind: DataSetMatch.Kind) {
    self.name = name
    self.kind = kind
  }

  /// The first line of ``contents`` that is no value of the set's kind, from 1; the set ends in front of it.
  public var wrongLine: Int? {
    var definition = DataSetDefinition(name: name, kind: kind)
    return definition.load(contents ?? [])
  }
}

/// `iprep`: the reputation of an address in a category.
public struct IPReputationMatch: Sendable, Equatable {
  public enum Side: String, Sendable, BitwiseCopyable {
    /// Of either end.
    case any
    case src, dst
    /// Of both ends.
    case both
  }
  public enum Condition: Sendable, Equatable {
    case isSet, isNotSet
    case score(NumberMatch)
  }
  public var side: Side
  public var category: String
  public var condition: Condition
}

/// `filemd5`, `filesha1`, `filesha256`: the digest of a whole file is in a list.
public struct FileDigestMatch: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    case md5 = "filemd5"
    case sha1 = "filesha1"
    case sha256 = "filesha256"

    /// Bytes.
    public var byteCount: Int {
      switch self {
      case .md5: 16
      case .sha1: 20
      case .sha256: 32
      }
    }
  }
  public var kind: Kind
  /// File with a digest in hexadecimal digits per line.
  public var list: String
  public var isNegated: Bool
}
