public import AllyRings

/// The legacy receive descriptor of the 8254x family with a frame checksum, 32 bytes.
public typealias E1000ChecksumReceiveDescriptor = ChecksummedReceiveDescriptor<E1000ReceiveDescriptor>
