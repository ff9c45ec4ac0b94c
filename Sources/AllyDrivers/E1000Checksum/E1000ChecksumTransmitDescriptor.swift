public import AllyRings

/// A transmit descriptor of the 8254x family with a frame checksum, 32 bytes.
public typealias E1000ChecksumTransmitDescriptor = ChecksummedTransmitDescriptor<E1000TransmitDescriptor>
