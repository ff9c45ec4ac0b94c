import AllyDeviceModels
import AllyDrivers
import AllyPacket
import AllyRings
import AllySimulator

/// An appliance: lets everything through to the OS but Telnet.
struct NoTelnet: PacketInspector {
  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let layers = PacketLayers(of: packet)
    return layers.ipProtocol == .tcp && layers.destinationPort == 23 ? .drop : .accept
  }
}

/// A SYN from 192.0.2.1 to 192.0.2.2: Ethernet, IPv4 and TCP headers, zeros to the end.
func syn(toPort port: UInt8) -> [UInt8] {
  let ethernet: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]
  let ip: [UInt8] = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
  return ethernet + ip + [200, 0, 0, port, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2] + [UInt8](repeating: 0, count: 12)
}

var machine = try SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver>.e1000()
machine.bootOS()
for port in [22, 23, 80] as [UInt8] { _ = machine.offer(syn(toPort: port).span, stamp: FrameStamp()) }
var appliance = NoTelnet()
machine.run(inspecting: &appliance) { print("the OS received a frame to port", $0.byte(at: 37)) }
