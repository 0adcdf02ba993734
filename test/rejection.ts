/**
 * What a promise was rejected with. For `expect(await rejectionOf(promise))`: bun's `expect(promise).rejects` blocks until the
 * promise has settled, and no time limit of a test ends that.
 */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`not rejected, but resolved to ${Bun.inspect(value)}`);
}
