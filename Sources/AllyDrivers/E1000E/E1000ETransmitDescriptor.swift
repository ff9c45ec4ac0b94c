/// A transmit descriptor of the 82574L: legacy (82574 datasheet 7.2.10.1), TCP/IP context (7.2.10.2) or TCP/IP data (7.2.10.3).
/// Bit for bit those of the 8254x family.
public typealias E1000ETransmitDescriptor = E1000TransmitDescriptor
