internal import AllyHW

/// What simulated machines of any kind have in memory before their OS runs.
enum MachineMemory {
  static func memory(of dram: DRAM) throws(SimulatorError) -> PhysicalMemory {
    var memory = PhysicalMemory()
    do { try dram.map(into: &memory) } catch { throw .layout("DRAM cannot be mapped: \(error)") }
    return memory
  }

  /// The kernel's page tables: all of OS memory, and the NIC's registers.
  static func pageTables(
    _ layout: MachineLayout, registerSpace: UInt64, _ memory: borrowing PhysicalMemory
  ) throws(SimulatorError) -> PhysicalAddress {
    var tables = PageTables(arena: MachineLayout.pageTables, pages: MachineLayout.pageTablePages)
    let boundary = layout.boundary.rawValue
    for range in [0..<min(boundary, DRAM.holeStart), min(boundary, DRAM.holeEnd)..<boundary] {
      var page = range.lowerBound
      while page < range.upperBound {
        // As kernels do: pages as large as fit.
        let gigabyte = PageSize.size1GiB.rawValue
        let size: PageSize = page % gigabyte == 0 && range.upperBound - page >= gigabyte ? .size1GiB : .size2MiB
        guard
          tables.map(OSMemory.virtual(PhysicalAddress(page)), to: PhysicalAddress(page), size: size, in: memory)
        else { throw .layout("OS memory is too large for the kernel's page tables") }
        page += size.rawValue
      }
    }
    for page in stride(from: 0, to: registerSpace, by: 0x1000) {
      guard
        tables.map(
          VirtualAddress(OSMemory.deviceMap + page), to: MachineLayout.nicRegisters.advanced(by: page),
          size: .size4KiB, uncacheable: true, in: memory)
      else { throw .layout("OS memory is too large for the kernel's page tables") }
    }
    return tables.root
  }
}
