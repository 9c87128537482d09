import 'reflect-metadata'
import { type INestApplication, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ChatController, type Model } from './chat.controller.js'
import { EvenkeelModule, type EvenkeelOptions } from './evenkeel.module.js'
import { MODEL } from './tokens.js'

/** Creates the application; the caller makes it listen. */
export async function createChatApp(
  options: EvenkeelOptions & { readonly model: Model },
): Promise<INestApplication> {
  @Module({
    imports: [EvenkeelModule.forRoot(options)],
    controllers: [ChatController],
    providers: [{ provide: MODEL, useValue: options.model }],
  })
  class ChatModule {}

  const app = await NestFactory.create(ChatModule, { logger: ['error', 'warn'] })
  app.enableShutdownHooks()
  return app
}
