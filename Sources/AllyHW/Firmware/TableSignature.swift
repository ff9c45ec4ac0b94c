/// The four characters that a firmware table begins with.
public struct TableSignature: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The characters as they lie in memory, the first in bits 7–0.
  public var rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  init(_ first: Unicode.Scalar, _ second: Unicode.Scalar, _ third: Unicode.Scalar, _ fourth: Unicode.Scalar) {
    rawValue = first.value | second.value << 8 | third.value << 16 | fourth.value << 24
  }

  /// Root System Description Pointer; the first half of `RSD PTR `.
  public static var rootPointer: Self { Self("R", "S", "D", " ") }
  /// Root System Description Table, with 32-bit addresses.
  public static var rootTable: Self { Self("R", "S", "D", "T") }
  /// Extended System Description Table, with 64-bit addresses.
  public static var extendedRootTable: Self { Self("X", "S", "D", "T") }
  /// Multiple APIC Description Table: interrupt controllers, and with them the cores.
  public static var madt: Self { Self("A", "P", "I", "C") }
  /// System Resource Affinity Table: which cores and memory are near each other.
  public static var srat: Self { Self("S", "R", "A", "T") }
  /// Differentiated System Description Table: ACPI machine code.
  public static var dsdt: Self { Self("D", "S", "D", "T") }
  /// Firmware ACPI Control Structure, the one without a common header.
  public static var controlStructure: Self { Self("F", "A", "C", "S") }
  /// MP floating pointer structure.
  public static var mpPointer: Self { Self("_", "M", "P", "_") }
  /// MP configuration table.
  public static var mpTable: Self { Self("P", "C", "M", "P") }
  /// The INT 15h memory map, which has no signature of its own.
  public static var e820: Self { Self("E", "8", "2", "0") }

  /// The characters, those that cannot be printed as `?`.
  public var description: String {
    var text = ""
    for shift in [0, 8, 16, 24] as [UInt32] {
      let byte = UInt8(truncatingIfNeeded: rawValue >> shift)
      text.unicodeScalars.append(Unicode.Scalar((0x20...0x7E).contains(byte) ? byte : 0x3F))
    }
    return text
  }
}
