/** Why a text can't be the control token, if it can't: it has to fit into an HTTP header, and the server takes no other. */
export function unsendable(text: string): string | undefined {
  const odd = [...text].find((letter) => letter < ' ' || letter > '~');
  return odd === undefined
    ? undefined
    : `No token has the character “${odd}” in it: tokens are of ASCII letters, digits and signs. It may be mistyped.`;
}
