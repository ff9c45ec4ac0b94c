internal import AllyTools
internal import ArgumentParser

@testable internal import AllyDPITools

/// A `suricata.yaml`, up to everything that an operator's settings decide. It may include itself: `settings.yaml`.
struct SettingsTarget: FuzzTarget {
  static let name = "settings"

  private let file: ScratchFile
  private let options: DPIOptions

  init() throws {
    file = try ScratchFile(name: "settings.yaml")
    options = try DPIOptions.parse(["-r", "none.pcap", "-v", "-c", file.path])
  }

  mutating func run(_ input: [UInt8]) {
    file.hold(input)
    do throws(CommandFailure) {
      let settings = try DPISettings(options)
      for note in settings.notes { require(!note.isEmpty, "a note without words") }
    } catch {
      require(
        error.status == .badConfiguration || error.status == .missingInput,
        "settings failed with status \(error.status): \(error)")
    }
  }
}
