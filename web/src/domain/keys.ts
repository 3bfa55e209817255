/** The keys of a map whose keys are of a known set. */
export const keysOf = <K extends string>(map: Partial<Record<K, unknown>>): K[] => Object.keys(map) as K[];
