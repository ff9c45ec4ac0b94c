/// The advanced receive descriptor of the 82576, 16 bytes (82576 datasheet 7.1.5). Offered, it has a second address, for headers,
/// which is 0 here: headers are not split. Completed, its fields lie like those of the 82574L's extended descriptor.
public typealias IGBReceiveDescriptor = E1000EReceiveDescriptor
