/** The address of the interface: which view, of what, how filtered, with which sheet. It is the part of the URL after `#`. */

/** What an address says. */
export interface Address {
  /** The view's name, such as `control`; empty for the first view. */
  view: string;
  /** What the view is about, such as an instance's id. */
  params: readonly string[];
  /** Filters, choices and the open sheet. */
  query: Readonly<Record<string, string>>;
}

/** Reads an address, `#` included or not. */
export function parseAddress(hash: string): Address {
  const text = hash.replace(/^#?\/?/, '');
  const mark = text.indexOf('?');
  const [path, query] = mark < 0 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)];
  const [view = '', ...params] = path.split('/').map(decoded);
  return { view, params: params.filter(Boolean), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address as a link; what has no value is left out. */
export function linkTo({ view = '', params = [], query = {} }: Partial<Address>): string {
  const path = [view, ...params].map(encodeURIComponent).join('/');
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  return `#/${path}${search && `?${search}`}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // An address that somebody typed, with a lone percent sign.
    return part;
  }
}

/** The keys of the query that open a sheet over the view. */
const SHEET = ['request', 'message', 'instance'] as const;

/** What the sheet at the side shows. */
export type SheetOf = { request: string; message: string } | { instance: string };

/** The sheet that an address has open, if it has one. */
export function sheetOf({ query }: Address): SheetOf | undefined {
  const { request, message, instance } = query;
  if (request && message) return { request, message };
  return instance ? { instance } : undefined;
}

/** The query with this sheet open, or with none. */
export function withSheet(query: Address['query'], sheet: SheetOf | undefined): Record<string, string> {
  const rest = Object.fromEntries(Object.entries(query).filter(([key]) => !SHEET.some((one) => one === key)));
  return { ...rest, ...sheet };
}
