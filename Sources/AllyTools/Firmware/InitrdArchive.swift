/// An uncompressed archive in the format that Linux's initrd has ("newc" of cpio): a header of 110 hexadecimal digits, the name and
/// the contents, each filled up to 4 bytes.
///
/// Linux looks in the archive at the very start of the initrd, before it unpacks anything, for
/// `kernel/firmware/acpi/*` (its documentation, "Upgrading ACPI tables via initrd"); the initrd proper may follow.
struct InitrdArchive {
  private var members: [UInt8] = []
  private var nextInode: UInt32 = 1

  /// Adds a folder; those above it come first.
  mutating func addFolder(_ name: String) { add(name, mode: 0o040755, links: 2, contents: []) }

  /// Adds a file whose folder was added.
  mutating func addFile(_ name: String, _ contents: [UInt8]) {
    add(name, mode: 0o100644, links: 1, contents: contents)
  }

  /// The whole archive, with its end mark, in blocks of 512 bytes.
  var bytes: [UInt8] {
    var archive = self
    archive.nextInode = 0
    archive.add("TRAILER!!!", mode: 0, links: 1, contents: [])
    archive.fill(to: 512)
    return archive.members
  }

  private mutating func add(_ name: String, mode: UInt32, links: UInt32, contents: [UInt8]) {
    // Inode, mode, owner, group, links, time, size, device and device node (each major and minor), name, checksum.
    let fields: [UInt32] = [
      nextInode, mode, 0, 0, links, 0, UInt32(contents.count), 0, 0, 0, 0, UInt32(name.utf8.count + 1), 0,
    ]
    nextInode += 1
    members += Array("070701".utf8)
    for field in fields {
      let digits = String(field, radix: 16, uppercase: true)
      members += Array((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
    }
    members += Array(name.utf8) + [0]
    fill(to: 4)
    members += contents
    fill(to: 4)
  }

  private mutating func fill(to multiple: Int) {
    members += [UInt8](repeating: 0, count: (multiple - members.count % multiple) % multiple)
  }
}
