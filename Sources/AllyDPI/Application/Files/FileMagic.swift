internal import CMagic

/// Tells the kind of a file by its first bytes, with libmagic and the system's database, as `file` does.
@safe
final class FileMagic {
  private let cookie: magic_t

  /// - Returns: nil when there is no database.
  init?() {
    guard let cookie = unsafe magic_open(MAGIC_NONE) else { return nil }
    guard unsafe magic_load(cookie, nil) == 0 else {
      unsafe magic_close(cookie)
      return nil
    }
    unsafe self.cookie = cookie
  }

  deinit { unsafe magic_close(cookie) }

  /// What the library says of the bytes, `PDF document, version 1.5`.
  func describe(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    // The library only reads within the bytes, and its text is valid until its next call.
    unsafe bytes.withUnsafeBytes { data in
      guard let text = unsafe magic_buffer(cookie, data.baseAddress, data.count) else { return [] }
      return unsafe Array(String(cString: text).utf8)
    }
  }
}
