internal import AllyHW

/// `ally firmware hide`: firmware tables without some of the cores.
public struct FirmwareHideCommand {
  /// The files to read; at least one.
  public struct Inputs {
    public var madt: String?
    public var srat: String?
    public var mpTable: String?

    public init(madt: String? = nil, srat: String? = nil, mpTable: String? = nil) {
      self.madt = madt
      self.srat = srat
      self.mpTable = mpTable
    }
  }

  /// The files to write; each table needs its input.
  public struct Outputs {
    public var madt: String?
    public var srat: String?
    public var mpTable: String?
    /// The archive that Linux takes MADT and SRAT from.
    public var initrd: String?

    public init(madt: String? = nil, srat: String? = nil, mpTable: String? = nil, initrd: String? = nil) {
      self.madt = madt
      self.srat = srat
      self.mpTable = mpTable
      self.initrd = initrd
    }
  }

  /// Where Linux has the MADT of the machine it runs on.
  public static let machineMADT = "/sys/firmware/acpi/tables/APIC"

  private let cores: [UInt32]
  private let inputs: Inputs
  private let outputs: Outputs

  public init(cores: [UInt32], inputs: Inputs, outputs: Outputs) {
    self.cores = cores
    self.inputs = inputs
    self.outputs = outputs
  }

  /// APIC ids in a list such as `2,6-7`.
  ///
  /// - Returns: nil when the text is none, or names more cores than a machine has.
  public static func cores(from text: String) -> [UInt32]? {
    var cores: [UInt32] = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = item.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      guard let first = number(ends[0]), let last = ends.count == 2 ? number(ends[1]) : first, first <= last,
        last - first < 4096, cores.count < 4096
      else { return nil }
      cores += (first...last).filter { !cores.contains($0) }
    }
    return cores
  }

  private static func number(_ text: Substring) -> UInt32? {
    text.allSatisfy { ("0"..."9").contains($0) } ? UInt32(text) : nil
  }

  /// Reads, changes and writes; nothing is written unless everything was read and changed.
  public func perform() throws(CommandFailure) -> ExitStatus {
    let hidden = cores.map { LocalAPICID($0) }
    var files: [(path: String, bytes: [UInt8])] = []
    var overlay = InitrdArchive()
    overlay.addFolder("kernel")
    overlay.addFolder("kernel/firmware")
    overlay.addFolder("kernel/firmware/acpi")

    if let path = inputs.madt {
      var table = try FirmwareFile.read(path) { bytes throws(FirmwareTableError) in try MADT(parsing: bytes) }
      try change(path) { () throws(FirmwareTableError) in try table.hide(hidden) }
      overlay.addFile("kernel/firmware/acpi/apic.aml", table.bytes)
      if let output = outputs.madt { files.append((output, table.bytes)) }
    }
    if let path = inputs.srat {
      var table = try FirmwareFile.read(path) { bytes throws(FirmwareTableError) in try SRAT(parsing: bytes) }
      try change(path) { () throws(FirmwareTableError) in try table.hide(hidden) }
      overlay.addFile("kernel/firmware/acpi/srat.aml", table.bytes)
      if let output = outputs.srat { files.append((output, table.bytes)) }
    }
    if let path = inputs.mpTable {
      var table = try FirmwareFile.read(path) { bytes throws(FirmwareTableError) in try MPTable(parsing: bytes) }
      try change(path) { () throws(FirmwareTableError) in try table.hide(hidden) }
      if let output = outputs.mpTable { files.append((output, table.bytes)) }
    }
    if let output = outputs.initrd { files.append((output, overlay.bytes)) }
    try FirmwareHideCommand.write(files[...])
    return .success
  }

  /// Changes a table that was read from `path`.
  private func change(
    _ path: String, _ edit: () throws(FirmwareTableError) -> Void
  ) throws(CommandFailure) {
    do throws(FirmwareTableError) {
      try edit()
    } catch {
      throw CommandFailure(.badConfiguration, "\(path): \(error.description)")
    }
  }

  /// Writes every file beside its name before the first takes it, so that a full disk leaves none behind.
  private static func write(_ files: ArraySlice<(path: String, bytes: [UInt8])>) throws(CommandFailure) {
    guard let file = files.first else { return }
    var output: OutputFile
    do throws(OutputFile.Failure) {
      output = try OutputFile(replacing: file.path)
    } catch {
      throw CommandFailure(.cannotCreate, "cannot create \(file.path): \(error.reason)")
    }
    do throws(OutputFile.Failure) {
      try output.write(file.bytes[...])
    } catch {
      throw CommandFailure(.cannotWrite, "cannot write to \(file.path): \(error.reason)")
    }
    try write(files.dropFirst())
    do throws(OutputFile.Failure) {
      try output.commit()
    } catch {
      throw CommandFailure(.cannotWrite, "cannot write to \(file.path): \(error.reason)")
    }
  }
}
