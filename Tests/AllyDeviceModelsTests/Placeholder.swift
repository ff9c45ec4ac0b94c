import Testing

@Suite struct AllyDeviceModelsPlaceholder {}
