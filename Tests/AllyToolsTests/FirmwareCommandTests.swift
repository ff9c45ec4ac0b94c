import AllyHW
import AllyTools
import Foundation
import Testing

@Suite("ally firmware") struct FirmwareCommandTests {
  /// A MADT of four cores with an I/O APIC.
  private static let madt = MADT(
    header: ACPIHeader(
      signature: .madt, revision: 3, oemID: Array("BOCHS".utf8), oemTableID: Array("BXPC".utf8), oemRevision: 1),
    entries: (0..<4).map { .localAPIC(.init(processorUID: $0, apicID: $0)) }
      + [.ioAPIC(.init(apicID: 0, address: 0xFEC0_0000, firstInterrupt: 0)), .localNMI(.init(flags: 0, pin: 1))]
  ).bytes

  private func hide(_ arguments: [String], in folder: TemporaryFolder) throws -> CommandRun {
    try CommandRun.run("ally", ["firmware", "hide"] + arguments, in: folder)
  }

  @Test("show explains a table, line by line") func show() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("apic", Self.madt)
    let run = try CommandRun.run("ally", ["firmware", "show", path], in: folder)
    #expect(run.status == 0)
    let lines = run.output.split(separator: "\n").map(String.init)
    #expect(lines.first == "\(path): APIC of BOCHS, BXPC, revision 3, OEM revision 1, \(Self.madt.count) bytes")
    #expect(lines.contains("  core with APIC id 3, processor 3"))
    #expect(lines.contains("  I/O APIC 0 at 0xFEC00000, interrupts from 0"))
    #expect(lines.last == "  LINT1 of all cores is an NMI, polarity as the bus has it, trigger as the bus has it")
  }

  @Test("hide writes the table without the cores, and an archive that holds the same table") func hide() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("apic", Self.madt)
    let table = folder.path + "/table"
    let archive = folder.path + "/overlay"
    let run = try hide(
      ["--cores", "1,3", "--madt", path, "--output-table", table, "--output-initrd", archive], in: folder)
    #expect(run.status == 0 && run.errors == "" && run.output == "")
    let bytes = try folder.bytes("table")
    let read = try MADT(parsing: bytes)
    #expect(read.cores.map(\.apicID.rawValue) == [0, 2])
    #expect(read.header.oemRevision == 2)

    // What Linux looks for: newc headers, with the table under its name.
    let overlay = try folder.bytes("overlay")
    #expect(overlay.count % 512 == 0)
    #expect(
      try members(of: overlay).map(\.name) == [
        "kernel", "kernel/firmware", "kernel/firmware/acpi", "kernel/firmware/acpi/apic.aml", "TRAILER!!!",
      ])
    #expect(try members(of: overlay)[3].contents == bytes)
  }

  /// The members of a newc archive, taken apart as the format's description says.
  private func members(of archive: [UInt8]) throws -> [(name: String, contents: [UInt8])] {
    func field(_ index: Int, at start: Int) throws -> Int {
      let digits = archive[(start + 6 + 8 * index)..<(start + 14 + 8 * index)]
      return try #require(Int(String(decoding: digits, as: UTF8.self), radix: 16))
    }
    var result: [(name: String, contents: [UInt8])] = []
    var offset = 0
    while result.last?.name != "TRAILER!!!" {
      #expect(String(decoding: archive[offset..<offset + 6], as: UTF8.self) == "070701")
      let size = try field(6, at: offset)
      let nameLength = try field(11, at: offset)
      let name = archive[(offset + 110)..<(offset + 110 + nameLength - 1)]
      let start = (offset + 110 + nameLength + 3) & ~3
      result.append((String(decoding: name, as: UTF8.self), Array(archive[start..<start + size])))
      offset = (start + size + 3) & ~3
    }
    return result
  }

  @Test("the tables of this machine are explained, and their cores hidden, where there are any") func machine() throws {
    let folder = try TemporaryFolder()
    let path = "/sys/firmware/acpi/tables"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    for name in names where !["data", "dynamic"].contains(name) {
      guard let table = FileManager.default.contents(atPath: path + "/" + name) else { continue }
      let run = try CommandRun.run("ally", ["firmware", "show", try folder.write(name, Array(table))], in: folder)
      #expect(run.status == 0, "\(name): \(run.errors)")
      guard name == "APIC" else { continue }
      let cores = try MADT(parsing: Array(table)).cores.filter(\.isEnabled)
      guard cores.count > 1, let last = cores.last else { continue }
      let output = folder.path + "/hidden"
      let hidden = try hide(
        ["--cores", String(last.apicID.rawValue), "--madt", folder.path + "/APIC", "--output-table", output], in: folder
      )
      #expect(hidden.status == 0, "\(hidden.errors)")
      #expect(try !MADT(parsing: folder.bytes("hidden")).cores.contains { $0.apicID == last.apicID })
    }
  }

  @Test("bad tables are one clear line, a status of their own, and no file") func damaged() throws {
    let folder = try TemporaryFolder()
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    let bad: [(name: String, bytes: [UInt8])] = [
      ("cut", Array(Self.madt.prefix(60))), ("empty", []),
      ("random", (0..<300).map { _ in .random(in: 0...255, using: &generator) }),
      ("changed", Self.madt.enumerated().map { $0.offset == 50 ? $0.element ^ 0xFF : $0.element }),
    ]
    for (name, bytes) in bad {
      let path = try folder.write(name, bytes)
      let output = folder.path + "/" + name + ".out"
      let hidden = try hide(
        ["--cores", "1", "--madt", path, "--output-table", output, "--output-initrd", output + "2"], in: folder)
      let shown = try CommandRun.run("ally", ["firmware", "show", path], in: folder)
      for run in [hidden, shown] {
        #expect(run.status == ExitStatus.damagedTable.rawValue, "\(name), seed \(seed)")
        #expect(
          run.errorLines.count == 1 && run.errors.contains(path) && run.errors.contains("offset"), "\(run.errors)")
        #expect(run.output == "")
      }
      #expect(!FileManager.default.fileExists(atPath: output))
      #expect(!FileManager.default.fileExists(atPath: output + "2"))
    }
  }

  @Test("what cannot be hidden or written is refused, and no file is left") func refused() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("apic", Self.madt)
    let output = folder.path + "/out"
    let cases: [(arguments: [String], status: ExitStatus)] = [
      (["--cores", "9", "--madt", path, "--output-table", output], .badConfiguration),
      (["--cores", "0-3", "--madt", path, "--output-table", output], .badConfiguration),
      (["--cores", "x", "--madt", path, "--output-table", output], .usage),
      (["--cores", "3-1", "--madt", path, "--output-table", output], .usage),
      (["--cores", "0-4294967295", "--madt", path, "--output-table", output], .usage),
      (["--cores", "1", "--madt", path], .usage),
      (["--cores", "1", "--madt", path, "--output-srat", output], .usage),
      (["--cores", "1", "--madt", folder.path + "/none", "--output-table", output], .missingInput),
      (
        ["--cores", "1", "--madt", path, "--output-table", output, "--output-initrd", folder.path + "/no/where"],
        .cannotCreate
      ),
    ]
    for (arguments, status) in cases {
      let run = try hide(arguments, in: folder)
      #expect(run.status == status.rawValue, "\(arguments): \(run.errors)")
      #expect(!FileManager.default.fileExists(atPath: output), "\(arguments)")
    }
  }
}
