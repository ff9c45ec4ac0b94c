import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyPacket
import AllyRings
import AllySimulator

/// Prints what moving a frame costs, with Ally and without, as the paper's Table 2 does: on a simulated 82540EM, with traffic as
/// that of the paper's three benchmarks.

/// Lets everything pass, as the paper's Table 2 does: the cost is that of interception alone.
struct Everything: PacketInspector {
  mutating func inspect(_ packet: borrowing Packet) -> Verdict { .accept }
}

let rounds = 500
let address: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]
let driver = E1000OSDriver.Layout(base: MachineLayout.driverMemory, receiveDescriptors: 256)

func withAlly(_ workload: InterceptionCost.Workload) throws -> InterceptionCost {
  var machine = try SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver>(
    model: E1000Model(requester: MachineLayout.nic, macAddress: address), osDriver: E1000OSDriver(layout: driver))
  machine.bootOS()
  var inspector = Everything()
  return machine.cost(of: workload, rounds: rounds, inspecting: &inspector)
}

func native(_ workload: InterceptionCost.Workload) throws -> InterceptionCost {
  var machine = try BareMachine<E1000Model, E1000OSDriver>(
    model: E1000Model(requester: MachineLayout.nic, macAddress: address), osDriver: E1000OSDriver(layout: driver))
  machine.osDriver.start(stationAddress: 0x5634_1200_5452, on: &machine.hardware)
  return machine.cost(of: workload, rounds: rounds)
}

func cell(_ text: String, _ width: Int, isLeft: Bool = false) -> String {
  let space = String(repeating: " ", count: max(0, width - text.count))
  return isLeft ? text + space : space + text
}

/// Two decimals.
func perFrame(_ count: UInt64, _ cost: InterceptionCost) -> String {
  let hundredths = (count * 200 + cost.frames) / (2 * cost.frames)
  return "\(hundredths / 100)." + (hundredths % 100 < 10 ? "0" : "") + "\(hundredths % 100)"
}

let workloads = InterceptionCost.Workload.allCases
let costs = try workloads.map { (native: try native($0), ally: try withAlly($0)) }

func row(_ name: String, isOS: Bool = false, _ count: (InterceptionCost) -> UInt64) {
  let cells = costs.map { cost in
    cell(isOS ? perFrame(count(cost.native), cost.native) : "–", 9) + cell(perFrame(count(cost.ally), cost.ally), 9)
  }
  print(cell(name, 44, isLeft: true) + cells.joined())
}

print(cell("for each frame", 44, isLeft: true) + workloads.map { cell($0.rawValue, 18) }.joined())
print(cell("", 44) + workloads.map { _ in cell("native", 9) + cell("Ally", 9) }.joined())
row("OS core: interrupts", isOS: true) { $0.osInterrupts }
row("OS core: register accesses", isOS: true) { $0.osRegisterAccesses }
row("DPI core: interrupts") { $0.core.interrupts }
row("DPI core: redirected register accesses") { $0.core.registerAccesses }
row("DPI core: own register reads") { $0.core.nicReads }
row("DPI core: own register writes") { $0.core.nicWrites }
row("DPI core: bytes moved, descriptors") { $0.core.descriptorBytes }
row("DPI core: bytes moved, registers") { $0.core.registerBytes }
row("DPI core: bytes moved") { $0.core.descriptorBytes + $0.core.registerBytes }
