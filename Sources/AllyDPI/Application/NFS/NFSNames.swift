/// What numbers of NFS are called in records.
enum NFSNames {
  /// Procedures of version 3 (RFC 1813 §3.3), which records of version 2 use, too.
  static func procedure(_ number: UInt32) -> String {
    number < procedures.count ? procedures[Int(number)] : "\(number)"
  }

  private static let procedures = [
    "NULL", "GETATTR", "SETATTR", "LOOKUP", "ACCESS", "READLINK", "READ", "WRITE", "CREATE", "MKDIR", "SYMLINK",
    "MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK", "READDIR", "READDIRPLUS", "FSSTAT", "FSINFO", "PATHCONF", "COMMIT",
  ]

  /// Operations of version 4 that transactions are named by (RFC 7530 §16).
  static func operation(_ number: UInt32) -> String {
    switch number {
    case NFS4Operation.create: "CREATE"
    case NFS4Operation.read: "READ"
    case NFS4Operation.remove: "REMOVE"
    case NFS4Operation.write: "WRITE"
    default: "\(number)"
    }
  }

  /// Results of version 3 (RFC 1813 §2.6).
  static func status(_ number: UInt32) -> String { statuses[number] ?? "\(number)" }

  private static let statuses: [UInt32: String] = [
    0: "OK", 1: "ERR_PERM", 2: "ERR_NOENT", 5: "ERR_IO", 6: "ERR_NXIO", 13: "ERR_ACCES", 17: "ERR_EXIST",
    18: "ERR_XDEV", 19: "ERR_NODEV", 20: "ERR_NOTDIR", 21: "ERR_ISDIR", 22: "ERR_INVAL", 27: "ERR_FBIG",
    28: "ERR_NOSPC", 30: "ERR_ROFS", 31: "ERR_MLINK", 63: "ERR_NAMETOOLONG", 66: "ERR_NOTEMPTY", 69: "ERR_DQUOT",
    70: "ERR_STALE", 71: "ERR_REMOTE", 10001: "ERR_BADHANDLE", 10002: "ERR_NOT_SYNC", 10003: "ERR_BAD_COOKIE",
    10004: "ERR_NOTSUPP", 10005: "ERR_TOOSMALL", 10006: "ERR_SERVERFAULT", 10007: "ERR_BADTYPE",
    10008: "ERR_JUKEBOX",
  ]
}
