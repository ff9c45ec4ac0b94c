internal import AllyTools
internal import ArgumentParser

/// `ally firmware`: what a machine's firmware tells its OS about cores, and what it shall tell.
struct Firmware: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Explain firmware tables, and hide cores from them.", subcommands: [Show.self, Hide.self])

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Explain firmware tables.",
      discussion: """
        Knows the MADT, the SRAT, the MP configuration table and its pointer, the RSDP, the RSDT, the XSDT and the FACS; of any \
        other ACPI table it shows the header. Linux has its ACPI tables in /sys/firmware/acpi/tables. Exit statuses: \
        Docs/ExitStatus.md.
        """)

    @Argument(help: "Files that hold one table each.")
    var files: [String]

    func run() throws {
      try Command.run("ally") { () throws(CommandFailure) in
        try FirmwareShowCommand(files: files).perform()
      }
    }
  }

  struct Hide: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete cores from firmware tables, as the BIOS of an appliance does.",
      discussion: """
        Reads the tables of a machine, deletes the cores with the given APIC ids, repairs lengths, revision and checksums, \
        and writes the tables, or an archive to be put before a Linux initrd: `cat OVERLAY INITRD`. Linux then takes these \
        tables for the BIOS's (it must be built with CONFIG_ACPI_TABLE_UPGRADE, as Debian's is). Without an input the \
        machine's own MADT is read. On any error no file is written. Exit statuses: Docs/ExitStatus.md.
        """)

    @Option(help: "The APIC ids of the cores, such as 3 or 2,6-7.")
    var cores: String

    @Option(help: ArgumentHelp("The MADT (APIC) to read.", valueName: "file"))
    var madt: String?

    @Option(help: ArgumentHelp("The SRAT to read.", valueName: "file"))
    var srat: String?

    @Option(name: .customLong("mp"), help: ArgumentHelp("The MP configuration table to read.", valueName: "file"))
    var mpTable: String?

    @Option(help: ArgumentHelp("Where to write the MADT.", valueName: "file"))
    var outputTable: String?

    @Option(help: ArgumentHelp("Where to write the SRAT.", valueName: "file"))
    var outputSrat: String?

    @Option(help: ArgumentHelp("Where to write the MP configuration table.", valueName: "file"))
    var outputMp: String?

    @Option(help: ArgumentHelp("Where to write the archive with MADT and SRAT.", valueName: "file"))
    var outputInitrd: String?

    func validate() throws {
      guard FirmwareHideCommand.cores(from: cores) != nil else {
        throw ValidationError("'\(cores)' is no list of APIC ids: expected numbers and ranges, such as 2,6-7")
      }
      guard outputTable != nil || outputSrat != nil || outputMp != nil || outputInitrd != nil else {
        throw ValidationError("nothing to write: give at least one of the --output options")
      }
      guard outputSrat == nil || srat != nil else { throw ValidationError("--output-srat needs --srat") }
      guard outputMp == nil || mpTable != nil else { throw ValidationError("--output-mp needs --mp") }
      let readsMADT = madt != nil || (srat == nil && mpTable == nil)
      guard outputTable == nil || readsMADT else { throw ValidationError("--output-table needs --madt") }
      guard outputInitrd == nil || readsMADT || srat != nil else {
        throw ValidationError("--output-initrd needs --madt or --srat")
      }
    }

    func run() throws {
      try Command.run("ally") { () throws(CommandFailure) in
        let usesMachine = madt == nil && srat == nil && mpTable == nil
        return try FirmwareHideCommand(
          cores: FirmwareHideCommand.cores(from: cores) ?? [],
          inputs: .init(madt: usesMachine ? FirmwareHideCommand.machineMADT : madt, srat: srat, mpTable: mpTable),
          outputs: .init(madt: outputTable, srat: outputSrat, mpTable: outputMp, initrd: outputInitrd)
        ).perform()
      }
    }
  }
}
