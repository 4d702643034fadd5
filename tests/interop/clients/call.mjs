// What every client script shares: the call comes as JSON in the first argument, events go to standard output as JSON
// lines, and the last one is the result.

const report = (event, values = {}) => process.stdout.write(`${JSON.stringify({ event, ...values })}\n`);

/**
 * Performs the call and reports how it ended.
 * @param {(call: any, report: (event: string, values?: object) => void) => Promise<object>} perform
 */
export async function perform(perform) {
  const call = JSON.parse(process.argv[2]);
  try {
    report('result', { ok: true, ...(await perform(call, report)) });
  } catch (error) {
    report('result', { ok: false, error: describe(error) });
  }
}

/** The parts of an error by which a connector, and so its user, learns what went wrong. */
function describe(error) {
  const response = error.response ?? error.original?.response;
  return {
    name: error.name,
    message: error.message,
    code: error.code ?? error.cause?.code,
    cause: error.cause?.message,
    status: response?.status ?? error.status ?? error.$metadata?.httpStatusCode,
    body: response?.data,
  };
}
