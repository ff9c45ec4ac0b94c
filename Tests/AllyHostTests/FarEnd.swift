import CAllyLinux
import Glibc

@testable import AllyHost

/// Who has the far end of a NIC's cable in hand, a datagram socket.
protocol FarEnd {
  var cable: Int32 { get }
  /// Where the NIC's end is bound.
  var cableServer: String { get }
}

extension FarEnd {
  /// The next frame at the far end of the cable; nil when none comes in time.
  func farEnd(milliseconds: Int32) -> [UInt8]? {
    guard awaitInput(cable, milliseconds: milliseconds) else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe recv(cable, &buffer, buffer.count, 0)
    return count < 0 ? nil : Array(buffer[..<count])
  }

  func emptyFarEnd() { while farEnd(milliseconds: 0) != nil {} }

  /// Gives a frame to the cable's far end; false when nobody takes it.
  @discardableResult
  func offer(_ frame: [UInt8]) -> Bool {
    if unsafe ally_connect_unix(cable, cableServer) != 0 { return false }
    return unsafe send(cable, frame, frame.count, Int32(MSG_DONTWAIT)) == frame.count
  }
}

/// Sends all bytes over a stream, descriptors with the first of them; false when nobody takes them.
func sendWhole(_ bytes: [UInt8], over socket: Int32, descriptors: [Int32] = []) -> Bool {
  var done = 0
  while done < bytes.count {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe ally_send(
        socket, $0.baseAddress! + done, $0.count - done, 0, descriptors, done == 0 ? descriptors.count : 0)
    }
    guard count > 0 else { return false }
    done += count
  }
  return true
}

/// Takes so many bytes from a stream; nil when they do not come.
func takeWhole(_ count: Int, from socket: Int32) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  var done = 0
  while done < count {
    let got = unsafe bytes.withUnsafeMutableBytes { unsafe recv(socket, $0.baseAddress! + done, count - done, 0) }
    guard got > 0 else { return nil }
    done += got
  }
  return bytes
}
