/// How a command ended, for scripts: one number for each kind of trouble.
///
/// The numbers are those of BSD's `sysexits.h` that come nearest; ``usage`` is the one that the argument parser uses
/// itself. `Docs/ExitStatus.md` lists them for users.
public enum ExitStatus: Int32, Sendable, CaseIterable {
  /// Everything that was asked for was done.
  case success = 0
  /// The command line itself is wrong (EX_USAGE).
  case usage = 64
  /// A capture is not a capture, or ends or breaks off in the middle (EX_DATAERR). What was read before was processed
  /// and written.
  case damagedCapture = 65
  /// An input file is missing or may not be read (EX_NOINPUT).
  case missingInput = 66
  /// A new executable does not take over, and the one before goes on serving (EX_UNAVAILABLE).
  case upgradeRefused = 69
  /// A part of this program broke its own promise (EX_SOFTWARE): please report it.
  case internalFault = 70
  /// The system refused what the command needs, such as memory (EX_OSERR).
  case systemFault = 71
  /// An output file or folder cannot be made (EX_CANTCREAT).
  case cannotCreate = 73
  /// Writing failed midway, for example on a full disk (EX_IOERR). What was written before is whole.
  case cannotWrite = 74
  /// A firmware table is not one, or is damaged (EX_PROTOCOL). Nothing is written.
  case damagedTable = 76
  /// What the operator wrote is wrong: a configuration file, a firewall policy, or a rule with `--strict` (EX_CONFIG).
  case badConfiguration = 78
}
