/** What a run shows, drawn by the report's own components. */

/** A run's charts and tables. */
export function RunReport({ report }: { report: unknown }) {
  return <pre>{JSON.stringify(report).slice(0, 200)}</pre>;
}

/** Two runs' figures side by side. */
export function RunComparison({ comparison }: { comparison: unknown }) {
  return <pre>{JSON.stringify(comparison).slice(0, 200)}</pre>;
}
